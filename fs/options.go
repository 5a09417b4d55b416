package fs

import (
	"errors"
	"log/slog"
	"time"
)

// Options for New. The zero value is useful.
type Options struct {
	// Log gets failed reads and what the kernel complains of. If nil, nothing
	// is logged.
	Log *slog.Logger

	// ReadTimeout bounds every call of an application that waits for the
	// network. If zero, 60 s.
	ReadTimeout time.Duration

	// AllowOther lets other users in. An ordinary user may do so if
	// /etc/fuse.conf has user_allow_other.
	AllowOther bool

	// Owner is whom files and directories belong to. If nil, the user and the group of this
	// process. The kernel checks permissions by it.
	Owner *Owner

	// Umask has the bits that are taken from the mode of files, 0666, and of directories,
	// 0777. If nil, 022.
	Umask *uint32

	// ControlSocket is where .dlfs/control.sock in the mount points, for those
	// who know only the mountpoint. If empty, there is none.
	ControlSocket string

	// LogFile is where .dlfs/log in the mount points. If empty, there is none.
	LogFile string

	// MaxRead is how many bytes the kernel asks for in one READ at most, and
	// how far it reads ahead; each READ under way has a buffer of its length
	// here. If zero, 1 MiB.
	MaxRead int

	// Source is what the table of mounts shows as the source. If empty, "dlfs".
	Source string

	// NoPassthrough has every read come through this process and the page
	// cache, as where the kernel or the privileges do not allow better.
	NoPassthrough bool
}

// Owner is a user and a group, by number.
type Owner struct{ UID, GID uint32 }

// UnavailableError says why nothing can be mounted on this system, or by this
// user. Where a mount cannot be had, a list can still be fetched.
type UnavailableError struct{ Why string }

// Error says what is missing, and how to get it.
func (e *UnavailableError) Error() string { return e.Why }

// ErrMounted is wrapped by the error of ClearDead when a live mount is in the
// way.
var ErrMounted = errors.New("is mounted by a running dlfs already")

// ErrSilent is wrapped by the error of ClearDead when a mount is in the way whose
// process lives and says nothing: it is stopped, or the machine is very busy.
var ErrSilent = errors.New("is mounted by a dlfs that does not answer")
