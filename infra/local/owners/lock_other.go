//go:build !unix

package owners

import "os"

// hold makes the file and keeps it open. Windows removes no file that is open, which serves as the lock.
func hold(path string) (*os.File, error) { return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) }

// held reports whether a process that runs has the file open.
func held(path string) bool { return os.Remove(path) != nil }
