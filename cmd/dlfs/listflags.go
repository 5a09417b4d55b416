package main

import (
	"errors"
	"fmt"
	"io"

	"dlfs/listfile"
)

// listFlags say how a list is to be read. Every command that reads a list has them.
type listFlags struct {
	Format       string   `default:"auto" help:"The form of the list, if its content does not tell: tab, colon, urls, pget, aria2, csv, tsv, semicolons, pipes, fields, checksums, rclone, json, bagit, tsvhttpdata, pooch, conda or metalink."`
	Columns      string   `placeholder:"ROLE=COLUMN,..." help:"Which columns of a table or keys of JSON hold what, if their names do not tell: url=link,name=3,size=bytes,sha256=5. ROLE is url, name, size, md5, sha1, sha256, sha512 or checksum; COLUMN is a heading or a number."`
	SkipBadLines bool     `help:"Go on with the other lines of a list when lines of it are wrong. The wrong ones are told, and the exit code is 1."`
	BaseURL      string   `placeholder:"URL" help:"Complete the list's relative URLs with this one, and make URLs of it and the names where the list has none. http:// or https:// alone is put before URLs without a scheme."`
	NameFrom     string   `enum:"basename,path,content-disposition" default:"basename" help:"What an entry without a name is called after: the last part of its URL's path, the whole path, or what its origin says; ${enum}."`
	Include      []string `sep:"none" placeholder:"PATTERN" help:"Take only names that match, as *.tar and sub/** do; may be repeated."`
	Exclude      []string `sep:"none" placeholder:"PATTERN" help:"Leave out names that match, also names that --include takes; may be repeated."`
	Checksums    string   `placeholder:"FILE" help:"Verify files with the digests in FILE, as of sha256sum and its kin, BSD's, or md5checksums.txt."`
}

// options returns the options of package listfile that the flags stand for. "auto" of
// --format is its empty Format.
func (f *listFlags) options() listfile.Options {
	opts := listfile.Options{
		Format: listfile.Dialect(f.Format), BaseURL: f.BaseURL, NameFrom: listfile.NameFrom(f.NameFrom),
		Include: f.Include, Exclude: f.Exclude, Columns: f.Columns,
	}
	if f.Format == "auto" {
		opts.Format = ""
	}
	return opts
}

// parse reads a list. name is what its errors call it. With --skip-bad-lines, problems
// that cost one line each become List.Bad and are no error; a problem that costs the
// rest of the list stays one. The digests of --checksums are added, unless the names of
// the entries are still to be asked for (asks); the caller adds them after that.
func (f *listFlags) parse(r io.Reader, name string) (*listfile.List, error) {
	list, err := listfile.Parse(r, name, f.options())
	if bad, ok := errors.AsType[listfile.Errors](err); ok && bad.Cost() < listfile.Rest {
		if !f.SkipBadLines {
			return list, fmt.Errorf("%w\n%s", err, "nothing is fetched; --skip-bad-lines leaves such lines out and goes on")
		}
		list.Bad, err = bad, nil
	}
	if err != nil || f.asks() {
		return list, err
	}
	return list, f.addChecksums(list)
}

// asks reports whether origins are to be asked for the names of entries, which takes a
// request for each.
func (f *listFlags) asks() bool { return f.NameFrom == string(listfile.Disposition) }

// addChecksums gives the entries the digests in the file of --checksums, if the flag is
// given. That no entry has a digest there is an error, because the names of the two
// files cannot belong together; that some have none is not.
func (f *listFlags) addChecksums(list *listfile.List) error {
	if f.Checksums == "" {
		return nil
	}
	file, err := openNamed(f.Checksums)
	if err != nil {
		return fmt.Errorf("--checksums: %w", err)
	}
	defer file.Close()
	sums, skipped, err := listfile.ParseChecksums(file, f.Checksums)
	if err != nil {
		return err
	}
	list.NoChecksum = skipped
	n, err := list.ApplyChecksums(sums)
	if err == nil && n == 0 && len(list.Entries) > 0 {
		err = fmt.Errorf("--checksums: %s names no file of the list; its names must be those of the list", f.Checksums)
	}
	return err
}
