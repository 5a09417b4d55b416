// Package listfile reads a list file: the names of the files to show and the
// URLs that hold their bytes. It is where text from outside first enters dlfs,
// so it is strict: a line is understood whole or it is a problem with a line
// number and a way out, and nothing is dropped or repaired in silence.
//
// # The list
//
// A list is UTF-8 text, packed or not. Its form is told by its content:
//
//	tab          NAME<TAB>URL
//	colon        NAME : URL, NAME: URL or NAME URL
//	urls         URL, named after its path
//	pget         URL NAME                             (pget, git-annex addurl)
//	csv, tsv, semicolons, pipes
//	             a table; a heading names the columns
//	fields       each field tells what it is          (URL SIZE, DIGEST URL, apt-get --print-uris, ESGF)
//	aria2        URL<TAB>URL… and indented options    (aria2c --input-file)
//	rclone       URL,PATH without a header            (rclone copyurl --urls)
//	json         objects of files, and arrays and objects of them
//	bagit        URL LENGTH FILENAME                  (fetch.txt, RFC 8493 section 2.2.3)
//	tsvhttpdata  URL<TAB>SIZE<TAB>MD5                 (TsvHttpData-1.0)
//	pooch        NAME [ALGORITHM:]HASH [URL]          (pooch registry)
//	checksums    HEX  NAME, with a base URL           (sha256sum)
//	conda        URL#HEX                              (conda list --explicit)
//	metalink     XML                                  (RFC 5854, and version 3)
//
// Lines of the first four may be mixed in one list. A form is taken only if it
// explains every line of the opening of the list, the fields are plausible for what
// the form calls them, and plain URLs do not explain the lines as well. If two forms
// do, that is a problem, and Options.Format or Options.Columns decide. The headings
// of tables and the keys of json are those of one table, in words.go; others are
// ignored. Of the options of aria2, out, dir, checksum, header, referer and
// user-agent mean something here.
//
// # The rules of every form
//
//   - Lines end in LF or CRLF, the last one may end in neither. A byte order
//     mark at the start is skipped, and in forms of lines so are blank lines and
//     lines that begin with #.
//   - A URL is http or https, has a host and holds no space. Where a form knows
//     several for one entry they are mirrors, the best first. With a base URL
//     they may be relative.
//   - A name is a relative path of components parted by /, none of them empty,
//     "." or "..", none above 255 bytes, 4000 bytes in all. It is UTF-8, holds
//     no control character and no backslash, and does not lie in .dlfs. An entry
//     without one is named after its URL.
//   - An entry that repeats an earlier name and URL is folded into it. One name
//     with two URLs is a problem, and so is a name that is both a file and a
//     directory.
//
// In lists of lines the first line is a header, and skipped, exactly when it consists of
// words and one of the words is known to mean the URL. With a TAB before the URL the name
// is all that stands before the first TAB. Without one it is all that stands before the run of
// spaces and colons that precedes the first "scheme://", so "a b: c : http://h/x"
// names "a b: c".
//
// # How a list is read
//
// [Parse] goes through these steps, each in the file named:
//
//  1. The list is unpacked if it is packed, and its first 64 KiB are looked at
//     (unpack.go, opening.go).
//  2. What is plainly no list, such as a page of HTML, is refused with a way out
//     (known.go).
//  3. The form is told by the content of these first lines. XML and JSON come first,
//     then tables with a heading, then the forms of lines, the most particular one
//     first (dialect.go, tell.go). Two readings that explain the lines equally well
//     are an error, and never a guess (rivals.go).
//  4. The reader of that form makes a draft of each entry: the name, the URLs, the size
//     and the digests as they stand in the list. It knows nothing of the rules that all
//     forms share. The forms tab, colon, urls and pget are read in lineform.go and
//     split.go, and plausible.go refuses a column that a program printed in the place of
//     names; the form fields is read in shapes.go, tables in rows.go, and every other form
//     in a file of its name.
//  5. Each draft passes through accept, which checks the URLs and the name, names an
//     entry without a name, and asks the patterns of the user (accept.go, url.go,
//     name.go, selection.go). What breaks a rule is recorded as a problem of its line.
//  6. The index tells whether an earlier entry is the same, or forbids this one: one name
//     with two URLs, or a name that is also a directory (index.go).
//
// Entries of a million lines stay in memory for as long as the mount lives, so their texts
// are packed into blocks (texts.go), and the index keeps hashes instead of names.
//
// # The contract
//
// Every problem of a list is reported, in line order, as [Errors]; of each kind the
// first five, and how many more there are. What did parse is returned beside them, so
// that a caller may show both. An error never quotes a URL or a header's value,
// because those carry secrets, nor prints a character that a terminal would obey.
package listfile
