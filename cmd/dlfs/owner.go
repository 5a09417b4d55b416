package main

import (
	"fmt"
	"os"
	"os/user"
	"strconv"

	"dlfs/fs"
)

// ownerFlags say whom the files of a mount belong to, and who may read them, as the options of
// the same names in mount(8) do. They change what is shown, not the files in DIR.
type ownerFlags struct {
	UID   *userID   `name:"uid" placeholder:"USER" help:"Show files and directories as those of USER, a name or a number; of who mounts if not given."`
	GID   *groupID  `name:"gid" placeholder:"GROUP" help:"Show them as those of GROUP, a name or a number; of who mounts if not given."`
	Umask *fileMask `placeholder:"MASK" help:"Take the bits of MASK, an octal number, from the mode of files, 666, and of directories, 777; 022 if not given."`
}

// owner returns whom files are shown to belong to, nil if no flag says so.
func (f *ownerFlags) owner() *fs.Owner {
	if f.UID == nil && f.GID == nil {
		return nil
	}
	o := fs.Owner{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
	if f.UID != nil {
		o.UID = uint32(*f.UID)
	}
	if f.GID != nil {
		o.GID = uint32(*f.GID)
	}
	return &o
}

// userID is the number of a user, which a flag may give by name.
type userID uint32

// UnmarshalText reads a name or a number.
func (id *userID) UnmarshalText(text []byte) error {
	n, err := idOf(string(text), "user", func(name string) (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	})
	*id = userID(n)
	return err
}

// groupID is the number of a group, which a flag may give by name.
type groupID uint32

// UnmarshalText reads a name or a number.
func (id *groupID) UnmarshalText(text []byte) error {
	n, err := idOf(string(text), "group", func(name string) (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
	*id = groupID(n)
	return err
}

// idOf returns the number that text is, or that lookup finds for the name that text is.
func idOf(text, kind string, lookup func(name string) (string, error)) (uint32, error) {
	const none = 1<<32 - 1 // -1, which chown(2) has for no owner
	if n, err := strconv.ParseUint(text, 10, 32); err == nil && n != none {
		return uint32(n), nil
	}
	found, err := lookup(text)
	if err != nil {
		return 0, fmt.Errorf("%q is no %s of this machine; write the name or the number of one", printable(text), kind)
	}
	n, err := strconv.ParseUint(found, 10, 32)
	return uint32(n), err
}

// fileMask is bits of the mode of a file, which a flag gives as an octal number.
type fileMask uint32

// UnmarshalText reads an octal number.
func (m *fileMask) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 8, 32)
	if err != nil || n > 0o777 {
		return fmt.Errorf("%q is no mask; write an octal number from 0 to 777, such as 027", printable(string(text)))
	}
	*m = fileMask(n)
	return nil
}
