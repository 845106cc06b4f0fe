package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// The files of a data folder.
const (
	StoreFile = "vault.db"
	QueueFile = "queue.db"
	KeyFile   = "master.key"
)

// FolderConfig says where a machine keeps everything.
type FolderConfig struct {
	Path        string           // the folder, made when it is missing. Required
	Now         func() time.Time // nil: time.Now
	Random      io.Reader        // draws the master key of a new folder. Required
	MaxReceives int              // of the queues; see [QueueConfig]
}

// OpenFolder opens a data folder: the store under its master key, and the queues beside it. A new folder gets its key
// before its store, so a store without a key has lost it, and then nothing new is made in its place: the error says which
// file to put back. [*NewerError] and [ErrWrongKey] are as in [Open].
func OpenFolder(ctx context.Context, cfg FolderConfig) (*Store, *Queue, error) {
	storePath, keyPath := filepath.Join(cfg.Path, StoreFile), filepath.Join(cfg.Path, KeyFile)
	if cfg.Path == "" {
		return nil, nil, errors.New("opening the data folder: a path is required")
	}
	if err := refuseLostKey(storePath, keyPath); err != nil {
		return nil, nil, fmt.Errorf("opening the data folder: %w", err)
	}
	key, err := LoadOrCreateMasterKey(keyPath, cfg.Random)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the data folder: %w", err)
	}
	s, err := Open(ctx, Config{Path: storePath, Now: cfg.Now, MasterKey: key})
	if err != nil {
		return nil, nil, err
	}
	q, err := OpenQueue(ctx, QueueConfig{Path: filepath.Join(cfg.Path, QueueFile), Now: cfg.Now, MaxReceives: cfg.MaxReceives})
	if err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	return s, q, nil
}

func refuseLostKey(storePath, keyPath string) error {
	_, storeErr := os.Stat(storePath)
	_, keyErr := os.Stat(keyPath) // after the store, as they are made in the other order
	if storeErr == nil && errors.Is(keyErr, fs.ErrNotExist) {
		return fmt.Errorf("the store %s is there but its master key %s is missing: put the key's file back from where it was kept", storePath, keyPath)
	}
	return nil
}
