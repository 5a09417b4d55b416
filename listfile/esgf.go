package listfile

import (
	"strings"
)

// esgfHead is where the list begins inside a wget script of the Earth System Grid
// Federation, whose lines are 'NAME' 'URL' 'ALGORITHM' 'DIGEST'. It ends with a line
// that begins with esgfEnd.
const (
	esgfHead = "EOF--dataset.file.url.chksum_type.chksum"
	esgfEnd  = "EOF--"
)

// esgf returns a function that takes the lines of such a script one after the other.
// Lines outside of the list are the program text and are passed over; those inside are
// of the form "fields".
func (p *parser) esgf() func(text string, line int) {
	inside := false
	return func(text string, line int) {
		switch {
		case !inside:
			inside = strings.Contains(text, esgfHead)
		case strings.HasPrefix(text, esgfEnd):
			inside = false
		default:
			p.shape(text, line)
		}
	}
}
