package cache

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// openerMain is the process that opens a store, perhaps as another user, and
// says what came of it.
func openerMain() int {
	if len(os.Args) > 2 {
		user, err := strconv.Atoi(os.Args[2])
		if err = errors.Join(err, syscall.Setuid(user)); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	s, err := Open(os.Args[1], Options{})
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}
