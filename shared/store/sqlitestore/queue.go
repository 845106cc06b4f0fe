package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// QueueConfig says where the queues lie.
type QueueConfig struct {
	Path string           // the file, made when it is missing: not the store's own, so that the one's faults do not touch the other. Required
	Now  func() time.Time // the clock that delays and visibility go by; nil: time.Now
}

// Queue keeps messages until somebody has dealt with them, as SQS's standard queues do: every message is delivered at
// least once, in about the order of sending. Queues have names and need not be made. It is safe for concurrent use, also
// by several processes. Bodies are kept as they are given, so what must not lie readable comes sealed.
type Queue struct {
	file                          *file
	now                           func() time.Time
	send, waiting, claim, dispose *sql.Stmt
}

// Message is one delivery.
type Message struct {
	ID           string // the same at every delivery
	Receipt      string // names this delivery; Delete takes it
	Body         []byte
	ReceiveCount int // 1 at the first delivery
}

func queueKind() kind {
	return kind{name: "queue", applicationID: 0x43565131, migrations: []string{`
		CREATE TABLE messages (
			id INTEGER PRIMARY KEY AUTOINCREMENT,
			queue TEXT NOT NULL,
			visible_at INTEGER NOT NULL,  -- Unix nanoseconds
			receives INTEGER NOT NULL DEFAULT 0,
			body BLOB NOT NULL
		) STRICT;
		CREATE INDEX messages_visible ON messages (queue, visible_at, id);
	`}}
}

// OpenQueue opens the queues and makes the file when it is missing.
func OpenQueue(ctx context.Context, cfg QueueConfig) (*Queue, error) {
	f, err := openFile(ctx, cfg.Path, queueKind())
	if err != nil {
		return nil, fmt.Errorf("opening the queue: %w", err)
	}
	q := &Queue{file: f, now: cfg.Now}
	if q.now == nil {
		q.now = time.Now
	}
	if err := q.prepare(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the queue: %w", err), f.close())
	}
	return q, nil
}

func (q *Queue) prepare(ctx context.Context) error {
	for _, p := range []struct {
		db   *sql.DB
		into **sql.Stmt
		text string
	}{
		{q.file.write, &q.send, `INSERT INTO messages (queue, visible_at, body) VALUES (?, ?, ?)`},
		{q.file.read, &q.waiting, `SELECT EXISTS (SELECT 1 FROM messages WHERE queue = ? AND visible_at <= ?)`},
		{q.file.write, &q.claim, `UPDATE messages SET visible_at = ?, receives = receives + 1 WHERE id IN
			(SELECT id FROM messages WHERE queue = ? AND visible_at <= ? ORDER BY visible_at, id LIMIT ?)
			RETURNING id, receives, body`},
		{q.file.write, &q.dispose, `DELETE FROM messages WHERE queue = ? AND id = ? AND receives = ?`},
	} {
		var err error
		if *p.into, err = p.db.PrepareContext(ctx, p.text); err != nil {
			return fmt.Errorf("preparing %q: %w", p.text, err)
		}
	}
	return nil
}

// Close closes the file.
func (q *Queue) Close() error {
	if err := q.file.close(); err != nil {
		return fmt.Errorf("closing the queue: %w", err)
	}
	return nil
}

// Send adds all messages or none. They can be received after the delay.
func (q *Queue) Send(ctx context.Context, queue string, bodies [][]byte, delay time.Duration) error {
	visible := q.now().Add(delay).UnixNano()
	return q.inTx(ctx, "sending messages", func(tx *sql.Tx) error {
		for _, body := range bodies {
			if body == nil {
				body = []byte{} // nil would be NULL
			}
			if _, err := tx.StmtContext(ctx, q.send).ExecContext(ctx, queue, visible, body); err != nil {
				return err
			}
		}
		return nil
	})
}

// Receive claims up to limit messages. One that is not deleted within visibility is delivered again. It does not wait: with
// nothing to deliver it returns none.
func (q *Queue) Receive(ctx context.Context, queue string, limit int, visibility time.Duration) ([]Message, error) {
	now := q.now()
	var some bool // asked on the reading side, so that polling an empty queue keeps no writer waiting
	if err := q.waiting.QueryRowContext(ctx, queue, now.UnixNano()).Scan(&some); err != nil {
		return nil, fmt.Errorf("receiving messages: %w", mapped(ctx, err))
	}
	if !some || limit <= 0 {
		return nil, nil
	}
	var messages []Message
	err := q.inTx(ctx, "receiving messages", func(tx *sql.Tx) error {
		rows, err := tx.StmtContext(ctx, q.claim).QueryContext(ctx, now.Add(visibility).UnixNano(), queue, now.UnixNano(), limit)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var m Message
			if err := rows.Scan(&m.ID, &m.ReceiveCount, &m.Body); err != nil {
				return err
			}
			m.Receipt = m.ID + "." + strconv.Itoa(m.ReceiveCount)
			messages = append(messages, m)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	return messages, nil
}

// Delete removes the messages of those deliveries. A receipt counts until its message is delivered again; from then on
// the message belongs to the later delivery, and the older receipt does nothing.
func (q *Queue) Delete(ctx context.Context, queue string, receipts ...string) error {
	return q.inTx(ctx, "deleting messages", func(tx *sql.Tx) error {
		for _, receipt := range receipts {
			var id, receives int64
			if n, err := fmt.Sscanf(receipt, "%d.%d", &id, &receives); err != nil || n != 2 {
				return errors.New("a receipt is not one of ours")
			}
			if _, err := tx.StmtContext(ctx, q.dispose).ExecContext(ctx, queue, id, receives); err != nil {
				return err
			}
		}
		return nil
	})
}

func (q *Queue) inTx(ctx context.Context, act string, do func(*sql.Tx) error) error {
	tx, err := q.file.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", act, mapped(ctx, err))
	}
	defer func() { _ = tx.Rollback() }()
	if err := do(tx); err != nil {
		return fmt.Errorf("%s: %w", act, mapped(ctx, err))
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("%s: %w", act, mapped(ctx, err))
	}
	return nil
}
