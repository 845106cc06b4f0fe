package sqlitestore

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// KeySize is the length of a master key in bytes.
const KeySize = 32

// LoadOrCreateMasterKey reads the master key from the file, or draws one from random and writes the file: mode 0600,
// one line of base64. Of several processes that start at once, one makes the key and all return it.
//
// The key guards a copy of the store that was taken without it (a backup, a disk that was thrown away), not against
// somebody who can read both files.
func LoadOrCreateMasterKey(path string, random io.Reader) ([]byte, error) {
	key, err := loadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	fresh := make([]byte, KeySize)
	if _, err := io.ReadFull(random, fresh); err != nil {
		return nil, fmt.Errorf("drawing a master key: %w", err)
	}
	line := base64.StdEncoding.EncodeToString(fresh) + "\n"
	if err := createPrivate(path, []byte(line)); err != nil {
		return nil, fmt.Errorf("keeping the master key: %w", err)
	}
	return loadKey(path) // ours, or that of the process that was first
}

// loadKey drops the decoder's own error, which can quote what it read.
func loadKey(path string) ([]byte, error) {
	if err := refuseOpenToOthers(path); err != nil {
		return nil, err
	}
	line, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the master key: %w", err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(line)))
	if err != nil || len(key) != KeySize {
		return nil, fmt.Errorf("the file %s does not hold a master key: one line of base64 for %d bytes is expected", path, KeySize)
	}
	return key, nil
}

func refuseOpenToOthers(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("reading the master key: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("the file %s can be read by others (mode %o): allow only its owner (600)", path, mode)
	}
	return nil
}
