package listfile

import (
	"strings"
	"unicode"

	"dlfs/listfile/digest"
)

// column is what a column of a table means, or a key of an object.
type column int

const (
	otherColumn column = iota
	nameColumn
	urlColumn
	sizeColumn
	digestColumn
	idColumn // makes a URL with the base URL, where there is no other
)

// word is the meaning of a heading.
type word struct {
	column    column
	rank      int              // of several headings of one meaning the lowest rank is taken
	algorithm digest.Algorithm // of digestColumn; None if the value tells it
	group     string           // a heading of a group belongs to the URL of this group
	label     bool             // it is a name only where the value looks like that of a file
}

// headings is the table of synonyms: for each column its headings in classes, the
// most telling class first. They are spelled as plain returns them.
var headings = map[column][][]string{
	urlColumn: {
		{"downloadurl", "downloadlink", "browserdownloadurl", "contenturl", "presignedurl", "signedurl", "directurl", "directlink"},
		{"fileurl", "filelink", "fileuri", "imageurl", "imgurl", "videourl", "imagelink", "videolink", "photourl", "photoimageurl", "cocourl", "documenturl", "attachmenturl", "publicurl", "bloburl", "audiourl", "mediaurl", "pdfurl", "originalurl", "cdnlink", "cdnurl", "dataurl", "asseturl", "sourceurl", "objecturl", "contenturi", "httpsurl", "httpurl", "s3url", "s3link", "gcsurl", "s3httpsurl", "rawurl", "resourceurl", "downloaduri"},
		{"url", "urls", "uri", "link", "links", "href", "download"},
		{"accessurl", "flickrurl", "accessuri", "weburl", "address", "location"},
	},
	nameColumn: {
		{"filename", "file", "outputname", "outputfile", "outfile", "localpath", "destination", "dest", "saveas", "fname", "originalfilename", "originalname", "localfile", "localfilename", "targetpath", "outputpath"},
		{"name", "filepath", "path", "rfilename", "key", "objectname", "objectkey", "imagename", "imgname"},
		{"label"},
	},
	sizeColumn: {
		{"filesize", "sizebytes", "sizeinbytes", "filesizebytes", "filesizeinbytes", "contentsize", "contentlength", "bytesize", "numbytes", "lengthbytes", "sizeinbyte", "originalsize"},
		{"size", "bytes", "length"},
	},
	digestColumn: {
		{"checksum", "hash", "digest", "filehash", "filechecksum", "multihash", "checksummultihash", "contenthash", "checksumvalue"},
	},
	idColumn: {{"id", "fileid", "uuid"}},
}

// words is the table by which headings of tables and keys of JSON are looked up,
// spelled as plain returns them. It is not changed after the start.
var words = makeWords()

// makeWords makes the table of known headings: what each means, and how well it says so. The
// smaller the rank, the better; the best heading of a table has the column.
func makeWords() map[string]word {
	m := map[string]word{}
	for c, classes := range headings {
		for rank, class := range classes {
			for i, heading := range class {
				w := word{column: c, rank: rank, label: c == nameColumn && rank == 2}
				if c != urlColumn { // of URLs, those of a class are equals
					w.rank = 100*rank + i
				}
				m[heading] = w
			}
		}
	}
	for a := digest.MD5; a <= digest.SHA512; a++ {
		for _, form := range []string{"*", "*sum", "*hash", "*checksum", "*digest", "*hex", "*value", "file*", "file*sum", "file*hash", "original*", "computed*", "content*", "checksum*", "hash*"} {
			m[strings.ReplaceAll(form, "*", a.String())] = word{column: digestColumn, algorithm: a}
		}
	}
	// The file report of the European Nucleotide Archive has a URL, a size and an
	// MD5 of each kind of file.
	for i, group := range []string{"fastq", "submitted", "sra", "bam"} {
		m[group+"ftp"] = word{column: urlColumn, rank: i, group: group}
		m[group+"http"] = word{column: urlColumn, rank: i, group: group}
		m[group+"bytes"] = word{column: sizeColumn, group: group}
		m[group+"md5"] = word{column: digestColumn, algorithm: digest.MD5, group: group}
	}
	return m
}

// plain returns a heading without what people spell differently: case, spaces,
// underscores and other punctuation.
func plain(heading string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

// wordOf returns the meaning of a heading, the zero word if it has none. A number at
// the end does not change the meaning: url2 is another URL.
func wordOf(heading string) word {
	n := plain(heading)
	if w, known := words[n]; known {
		return w
	}
	return words[strings.TrimRight(n, "0123456789")]
}
