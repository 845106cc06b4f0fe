package sqlitestore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// QueueConfig says where the queues lie.
type QueueConfig struct {
	Path        string           // the file, made when it is missing: not the store's own, so that the one's faults do not touch the other. Required
	Now         func() time.Time // the clock that delays and visibility go by; nil: time.Now
	MaxReceives int              // a message that was delivered so often, and is still there, becomes a dead letter; 0: never
}

// Queue keeps messages until somebody has dealt with them, as SQS's standard queues do: every message is delivered at
// least once, in about the order of sending. Queues have names and need not be made. It is safe for concurrent use, also
// by several processes. Bodies are kept as they are given, so what must not lie readable comes sealed.
//
// Two things differ from SQS: a message here never grows too old, and Dedupe is ours.
type Queue struct {
	file *file
	cfg  QueueConfig
	stmt queueStatements
}

// queueStatements are prepared once; those on the reading side never write.
type queueStatements struct {
	waiting, dead, depth       *sql.Stmt // reading side
	send, bury, claim, dispose *sql.Stmt // writing side
	revive, postpone, purge    *sql.Stmt
}

// Outgoing is a message to be sent.
type Outgoing struct {
	Body []byte

	// Dedupe, when it is not empty, makes the message one with any of the same key that still waits in the queue for its first
	// delivery: nothing is added, and the earlier of both times counts. A message on its way is no reason to drop one, for what the
	// second asks for may have come up after the first was read.
	Dedupe string
	Delay  time.Duration // added to that of Send
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
			dead INTEGER NOT NULL DEFAULT 0,  -- 1: a dead letter
			visible_at INTEGER NOT NULL,  -- Unix nanoseconds
			receives INTEGER NOT NULL DEFAULT 0,
			dedupe TEXT,
			body BLOB NOT NULL
		) STRICT;
		CREATE INDEX messages_visible ON messages (queue, dead, visible_at, id);
		CREATE UNIQUE INDEX messages_dedupe ON messages (queue, dedupe) WHERE dedupe IS NOT NULL AND receives = 0;
	`}}
}

// OpenQueue opens the queues and makes the file when it is missing.
func OpenQueue(ctx context.Context, cfg QueueConfig) (*Queue, error) {
	f, err := openFile(ctx, cfg.Path, queueKind())
	if err != nil {
		return nil, fmt.Errorf("opening the queue: %w", err)
	}
	q := &Queue{file: f, cfg: cfg}
	if q.cfg.Now == nil {
		q.cfg.Now = time.Now
	}
	if err := q.prepare(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the queue: %w", err), f.close())
	}
	return q, nil
}

func (q *Queue) prepare(ctx context.Context) error {
	read, write := q.file.read, q.file.write
	return prepareAll(ctx, []preparation{
		{read, &q.stmt.waiting, `SELECT EXISTS (SELECT 1 FROM messages WHERE queue = ? AND dead = 0 AND visible_at <= ?)`},
		{read, &q.stmt.dead, `SELECT id, receives, body FROM messages WHERE queue = ? AND dead = 1 ORDER BY id LIMIT ?`},
		{read, &q.stmt.depth, `SELECT count(*) FILTER (WHERE dead = 0), count(*) FILTER (WHERE dead = 1) FROM messages WHERE queue = ?`},
		{write, &q.stmt.send, `INSERT INTO messages (queue, visible_at, dedupe, body) VALUES (?, ?, ?, ?)
			ON CONFLICT (queue, dedupe) WHERE dedupe IS NOT NULL AND receives = 0
			DO UPDATE SET visible_at = min(visible_at, excluded.visible_at)`},
		{write, &q.stmt.bury, `UPDATE messages SET dead = 1 WHERE queue = ? AND dead = 0 AND visible_at <= ? AND receives >= ?`},
		{write, &q.stmt.claim, `UPDATE messages SET visible_at = ?, receives = receives + 1 WHERE id IN
			(SELECT id FROM messages WHERE queue = ? AND dead = 0 AND visible_at <= ? ORDER BY visible_at, id LIMIT ?)
			RETURNING id, receives, body`},
		{write, &q.stmt.dispose, `DELETE FROM messages WHERE queue = ? AND id = ? AND receives = ?`},
		{write, &q.stmt.postpone, `UPDATE messages SET visible_at = ? WHERE queue = ? AND id = ? AND receives = ? AND dead = 0`},
		{write, &q.stmt.revive, `UPDATE messages SET dead = 0, receives = 0, dedupe = NULL, visible_at = ? WHERE queue = ? AND dead = 1`},
		{write, &q.stmt.purge, `DELETE FROM messages WHERE queue = ?`},
	})
}

// Close closes the file.
func (q *Queue) Close() error {
	if err := q.file.close(); err != nil {
		return fmt.Errorf("closing the queue: %w", err)
	}
	return nil
}

// Send adds all messages or none. They can be received after the delay.
func (q *Queue) Send(ctx context.Context, queue string, delay time.Duration, messages ...Outgoing) error {
	now := q.cfg.Now().Add(delay)
	return q.inTx(ctx, "sending messages", func(tx *sql.Tx) error {
		for _, m := range messages {
			body, dedupe := m.Body, sql.NullString{String: m.Dedupe, Valid: m.Dedupe != ""}
			if body == nil {
				body = []byte{} // nil would be NULL
			}
			if _, err := tx.StmtContext(ctx, q.stmt.send).ExecContext(ctx, queue, now.Add(m.Delay).UnixNano(), dedupe, body); err != nil {
				return err
			}
		}
		return nil
	})
}

// Receive claims up to limit messages. One that is not deleted within visibility is delivered again, or becomes a dead
// letter. It does not wait: with nothing to deliver it returns none.
func (q *Queue) Receive(ctx context.Context, queue string, limit int, visibility time.Duration) ([]Message, error) {
	now := q.cfg.Now()
	var some bool // asked on the reading side, so that polling an empty queue keeps no writer waiting
	if err := q.stmt.waiting.QueryRowContext(ctx, queue, now.UnixNano()).Scan(&some); err != nil {
		return nil, fmt.Errorf("receiving messages: %w", mapped(ctx, err))
	}
	if !some || limit <= 0 {
		return nil, nil
	}
	var messages []Message
	err := q.inTx(ctx, "receiving messages", func(tx *sql.Tx) error {
		if q.cfg.MaxReceives > 0 {
			if _, err := tx.StmtContext(ctx, q.stmt.bury).ExecContext(ctx, queue, now.UnixNano(), q.cfg.MaxReceives); err != nil {
				return err
			}
		}
		rows, err := tx.StmtContext(ctx, q.stmt.claim).QueryContext(ctx, now.Add(visibility).UnixNano(), queue, now.UnixNano(), limit)
		if err != nil {
			return err
		}
		messages, err = scanMessages(rows)
		return err
	})
	if err != nil {
		return nil, err
	}
	return messages, nil
}

// scanMessages puts them in the order of sending, which RETURNING does not promise, and closes rows.
func scanMessages(rows *sql.Rows) ([]Message, error) {
	defer func() { _ = rows.Close() }()
	type numbered struct {
		id int64
		Message
	}
	var found []numbered
	for rows.Next() {
		var m numbered
		if err := rows.Scan(&m.id, &m.ReceiveCount, &m.Body); err != nil {
			return nil, err
		}
		m.ID = strconv.FormatInt(m.id, 10)
		m.Receipt = m.ID + "." + strconv.Itoa(m.ReceiveCount)
		found = append(found, m)
	}
	slices.SortFunc(found, func(a, b numbered) int { return cmp.Compare(a.id, b.id) })
	messages := make([]Message, len(found))
	for i, m := range found {
		messages[i] = m.Message
	}
	return messages, rows.Err()
}

// Delete removes the messages of those deliveries. A receipt counts until its message is delivered again; from then on
// the message belongs to the later delivery, and the older receipt does nothing. It also removes dead letters.
func (q *Queue) Delete(ctx context.Context, queue string, receipts ...string) error {
	return q.inTx(ctx, "deleting messages", func(tx *sql.Tx) error {
		for _, receipt := range receipts {
			id, receives, err := parseReceipt(receipt)
			if err != nil {
				return err
			}
			if _, err := tx.StmtContext(ctx, q.stmt.dispose).ExecContext(ctx, queue, id, receives); err != nil {
				return err
			}
		}
		return nil
	})
}

// Postpone lets the message of a delivery come again after d from now, in place of when Receive said. A receipt that does not count any
// more does nothing.
func (q *Queue) Postpone(ctx context.Context, queue, receipt string, d time.Duration) error {
	id, receives, err := parseReceipt(receipt)
	if err != nil {
		return fmt.Errorf("postponing a message: %w", err)
	}
	return q.inTx(ctx, "postponing a message", func(tx *sql.Tx) error {
		_, err := tx.StmtContext(ctx, q.stmt.postpone).ExecContext(ctx, q.cfg.Now().Add(d).UnixNano(), queue, id, receives)
		return err
	})
}

func parseReceipt(receipt string) (id, receives int64, err error) {
	left, right, _ := strings.Cut(receipt, ".")
	id, leftErr := strconv.ParseInt(left, 10, 64)
	receives, rightErr := strconv.ParseInt(right, 10, 64)
	if leftErr != nil || rightErr != nil {
		return 0, 0, errors.New("a receipt is not one of ours")
	}
	return id, receives, nil
}

// Dead lists up to limit dead letters, oldest first. To list is not to receive: they stay as they are.
func (q *Queue) Dead(ctx context.Context, queue string, limit int) ([]Message, error) {
	rows, err := q.stmt.dead.QueryContext(ctx, queue, limit)
	if err != nil {
		return nil, fmt.Errorf("listing dead letters: %w", mapped(ctx, err))
	}
	messages, err := scanMessages(rows)
	if err != nil {
		return nil, fmt.Errorf("listing dead letters: %w", mapped(ctx, err))
	}
	return messages, nil
}

// Redrive puts a queue's dead letters back to be delivered now, as if for the first time, and says how many they were.
func (q *Queue) Redrive(ctx context.Context, queue string) (revived int, err error) {
	err = q.inTx(ctx, "reviving dead letters", func(tx *sql.Tx) error {
		result, err := tx.StmtContext(ctx, q.stmt.revive).ExecContext(ctx, q.cfg.Now().UnixNano(), queue)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		revived = int(n)
		return err
	})
	if err != nil {
		return 0, err
	}
	return revived, nil
}

// Purge removes everything from a queue, delivered or not, and its dead letters.
func (q *Queue) Purge(ctx context.Context, queue string) error {
	return q.inTx(ctx, "purging a queue", func(tx *sql.Tx) error {
		_, err := tx.StmtContext(ctx, q.stmt.purge).ExecContext(ctx, queue)
		return err
	})
}

// Depth counts a queue's messages, delivered or not, and its dead letters.
func (q *Queue) Depth(ctx context.Context, queue string) (messages, dead int, err error) {
	if err := q.stmt.depth.QueryRowContext(ctx, queue).Scan(&messages, &dead); err != nil {
		return 0, 0, fmt.Errorf("counting messages: %w", mapped(ctx, err))
	}
	return messages, dead, nil
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
