//go:build !unix

package owners

import "os"

// hold makes the file and keeps it open. Windows renames no file that is open, which serves as the lock.
func hold(path string) (*os.File, error) { return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) }

// held reports whether a process that runs has the file open. One that none has is there afterwards as before: who only asks must not
// take it away from whoever revokes its key.
func held(path string) bool {
	free := path + ".free"
	return os.Rename(path, free) != nil || os.Rename(free, path) != nil
}
