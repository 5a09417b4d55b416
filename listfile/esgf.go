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

// esgf returns what takes the lines of such a script.
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
