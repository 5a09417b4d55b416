package listfile_test

import (
	"errors"
	"fmt"
	"strings"

	"dlfs/listfile"
)

// The content tells the form: here a table whose headings are known words.
func ExampleParse() {
	list, err := listfile.Parse(strings.NewReader(
		"filename,bytes,download_url\n"+
			"train.tar,1048576,https://example.org/train.tar?sig=1\n"+
			"test.tar,NA,https://example.org/test.tar?sig=2\n"), "list.csv", listfile.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(list.Dialect, list.Columns)
	for i := range list.Entries {
		e := &list.Entries[i]
		fmt.Println(e.Name, e.URL, e.Said().Size)
	}
	// Output:
	// csv name=filename size=bytes url=download_url
	// train.tar https://example.org/train.tar?sig=1 1048576
	// test.tar https://example.org/test.tar?sig=2 -1
}

// Every wrong line is a problem of its own, and the entries of the other lines are there.
func ExampleParse_wrongLines() {
	list, err := listfile.Parse(strings.NewReader(
		"a.bin\thttps://example.org/a\n"+
			"../b.bin\thttps://example.org/b\n"+
			"c.bin\tftp://example.org/c\n"), "list.txt", listfile.Options{})
	problems, ok := errors.AsType[listfile.Errors](err)
	if !ok {
		fmt.Println("no problem:", err)
		return
	}
	fmt.Println(problems)
	fmt.Println(len(list.Entries), "entry is right")
	// Output:
	// list.txt:2: name "../b.bin" has a component ".."; write the path without it
	// list.txt:3: scheme "ftp" is not supported; use http or https
	// 1 entry is right
}
