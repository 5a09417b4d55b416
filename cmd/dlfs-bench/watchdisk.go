package main

import (
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
	"time"
)

// watchDisk looks every 10 ms how much is allocated below dir, until over is called, which
// looks once more and returns the most.
func watchDisk(dir string) (over func() (int64, error)) {
	stop, done := make(chan struct{}), make(chan struct{})
	var most int64
	var err error
	go func() { // over waits for it
		defer close(done)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for last := false; err == nil; {
			var now int64
			now, err = allocated(dir)
			most = max(most, now)
			if last {
				return
			}
			select {
			case <-tick.C:
			case <-stop:
				last = true
			}
		}
	}()
	return func() (int64, error) {
		close(stop)
		<-done
		return most, err
	}
}

// allocated is how many bytes the files below dir take on disk.
func allocated(dir string) (sum int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		var info fs.FileInfo
		if err == nil {
			info, err = e.Info()
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			sum += st.Blocks * 512
		}
		return nil
	})
	return sum, err
}
