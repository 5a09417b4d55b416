package main

import "golang.org/x/sys/unix"

// isAutomount reports whether a directory is where autofs mounts something when it is used.
func isAutomount(st *unix.Statfs_t) bool { return st.Type == unix.AUTOFS_SUPER_MAGIC }

// unfitDisk is unfit of the filesystem that statfs(2) tells.
func unfitDisk(st *unix.Statfs_t) string { return unfit(uint32(st.Type)) }

// unfit names a filesystem, by its magic number, that does not keep the state:
// what is mapped, locked and synced on one machine is not what another machine
// sees, so two machines could open one index. It returns "" for any other.
func unfit(magic uint32) string { return sharedFilesystems[magic] }

// sharedFilesystems are those that several machines, or a machine and its host,
// may have mounted at once, by the f_type of statfs(2). Numbers without a name in
// package unix are from the sources of the filesystem or of coreutils' stat.
var sharedFilesystems = map[uint32]string{
	unix.FUSE_SUPER_MAGIC: "FUSE",
	unix.NFS_SUPER_MAGIC:  "NFS",
	unix.CIFS_SUPER_MAGIC: "SMB",
	unix.SMB_SUPER_MAGIC:  "SMB",
	unix.SMB2_SUPER_MAGIC: "SMB",
	unix.NCP_SUPER_MAGIC:  "NCP",
	unix.V9FS_MAGIC:       "9P",
	unix.AFS_SUPER_MAGIC:  "AFS",
	unix.AFS_FS_MAGIC:     "AFS",
	unix.CODA_SUPER_MAGIC: "Coda",

	unix.CEPH_SUPER_MAGIC:  "Ceph",
	unix.OCFS2_SUPER_MAGIC: "OCFS2",
	0x01161970:             "GFS2",
	0x0bd00bd0:             "Lustre",
	0x47504653:             "GPFS",
	0x19830326:             "BeeGFS",
	0x20030528:             "OrangeFS",
	0xaad7aaea:             "PanFS",
	0xbeefdead:             "StorNext",
	0x013111a8:             "IBRIX",
	0x61636673:             "ACFS",
	0xa501fcf5:             "VxFS",

	0x786f4256: "a shared folder of VirtualBox",
	0xbacbacbc: "a shared folder of VMware",
	0x7c7c6673: "a shared folder of Parallels",
}
