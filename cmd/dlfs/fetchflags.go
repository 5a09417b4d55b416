package main

// fetchFlags say how many requests are made at once, in which order, and what is done when a
// file has changed. mount, fetch and "verify --repair" have them; most are handed on to
// fetch.Options and cache.Options as they are.
// validate tells of wrong numbers; wrong words and sizes are refused while flags are parsed.
type fetchFlags struct {
	Jobs       int       `short:"j" default:"8" aliases:"transfers" help:"Files fetched at once in the background."`
	Split      int       `short:"s" default:"4" aliases:"multi-thread-streams" help:"Requests a file, when there are places free."`
	MaxPerHost int       `short:"x" default:"8" aliases:"parallel-max-host" help:"Requests a host for the background; readers and their read-ahead may have as many each."`
	Order      string    `enum:"list,expiry" default:"list" help:"Which files come first: those first in the list, or those whose URL expires first (${enum})."`
	OnChange   string    `enum:"restart,fail,keep" default:"restart" help:"What to do when a file changed on its origin: fetch the new version, fail, or keep the old one as far as it is there (${enum})."`
	TrustSize  bool      `help:"Take a file of the same size for the same version when a new URL or a mirror gives no other proof."`
	State      string    `placeholder:"LOCAL" help:"Keep the state in LOCAL, a directory on a local disk or on tmpfs, and only files in DIR. Then DIR may be on a shared filesystem such as NFS or Lustre, and many machines may use it at once, each with a LOCAL of its own."`
	MinFree    mebibytes `default:"64M" placeholder:"SIZE" help:"Stop storing when less than this is free on the disk, such as 500M, 1G or 0; a number alone is of MiB. ${default} if not given."`
	Continue   bool      `short:"c" hidden:"" help:"Accepted, and always on."`
}

// validate refuses numbers below 1, with which nothing would ever be fetched.
func (f *fetchFlags) validate() error {
	for _, flag := range []struct {
		name  string
		value int
	}{{"--jobs", f.Jobs}, {"--split", f.Split}, {"--max-per-host", f.MaxPerHost}} {
		if flag.value < 1 {
			return usageError("%s must be at least 1, not %d", flag.name, flag.value)
		}
	}
	return nil
}

// runFlags are the flags that mount and fetch share, and no other command has.
type runFlags struct {
	hookFlags `group:"Commands to run"`

	DryRun       bool   `short:"n" help:"Fetch nothing: tell how much there is to fetch, and how much room."`
	RequireSpace bool   `help:"Do not begin unless the disk has room for all that is to come. Origins are asked first for the sizes that neither the list nor DIR has."`
	SaveFailed   string `aliases:"save-session" placeholder:"FILE" help:"At the end, write the entries that are not complete to FILE, as a list, with their reasons; FILE is left empty if all are. It holds URLs with their secrets."`
}
