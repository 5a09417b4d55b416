package fetch

// First has prefetch take the file next, after the files that were put to the front
// earlier. A failure of the file is forgotten. With PrefetchNone nothing is fetched. It
// does not block.
func (s *Set) First(f *File) {
	f.change(f.forgiveLocked)
	s.requeue(f)
}

// Retry has prefetch try the file again if its last attempt failed, and reports whether it
// had. It does not block.
func (s *Set) Retry(f *File) bool {
	if t, _ := countedOf(f); !t.state.trouble() {
		return false
	}
	s.First(f)
	return true
}
