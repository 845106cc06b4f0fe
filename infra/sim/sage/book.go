package sagesim

import (
	"encoding/binary"
	"encoding/hex"
	"hash/fnv"
	"strconv"
	"time"
)

// dice is a number that looks random and is always the same for the same words. All seeded data comes from it,
// so that any process computes the same invoice from the same identifier.
type dice uint64

func roll(words ...string) dice {
	h := fnv.New64a()
	for _, word := range words {
		_, _ = h.Write([]byte(word)) // a hash never fails
		_, _ = h.Write([]byte{0})
	}
	return dice(mix(h.Sum64()))
}

// mix spreads each bit over all: FNV alone mixes its last bytes poorly.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return x
}

// below returns a number from 0 to n-1. The salt makes another throw of it.
func (d dice) below(n int, salt uint64) int {
	return int(mix(uint64(d)+salt*0x9e3779b97f4a7c15) % uint64(n))
}

// begin is when every business began to keep its books here.
func begin() time.Time { return time.Date(2024, 1, 1, 9, 0, 0, 0, time.UTC) }

// startUp is the time in which the first records of every kind are made.
const startUp = 30 * 24 * time.Hour

// Spans that need no calendar.
const (
	day24 = 24 * time.Hour
	never = 200 * 365 * day24 // between the records of a kind that does not grow
)

// book is what a business keeps, as it is now.
type book struct {
	business Business
	place    profile
	now      time.Time
	query    queryFlags
}

// queryFlags are the parameters that add members.
type queryFlags struct{ balance, allocations bool }

func newBook(b Business, now time.Time) *book {
	return &book{business: b, place: profileOf(b.Country), now: now.UTC()}
}

// row is one record of a collection, before anybody has asked for its members.
type row struct {
	word                      string // id of a record of a static list; others have a computed one
	index                     uint64
	created, updated, deleted time.Time
	date                      time.Time
}

func (b *book) dice(kind string, index uint64) dice {
	return roll(b.business.ID, kind, strconv.FormatUint(index, 10))
}

const low48 = 1<<48 - 1

// id makes the 32 hexadecimal digits of a record: who it belongs to, which it is, and a check, so that looking one up needs no
// list of all.
func (b *book) id(kind string, index uint64) string {
	tag := uint64(roll(b.business.ID, kind))
	var raw [16]byte
	binary.BigEndian.PutUint32(raw[:], uint32(tag>>32))
	putLow48(raw[4:], (index^tag)&low48)
	putLow48(raw[10:], uint64(b.dice(kind, index))&low48)
	return hex.EncodeToString(raw[:])
}

func putLow48(to []byte, n uint64) {
	binary.BigEndian.PutUint16(to, uint16(n>>32))
	binary.BigEndian.PutUint32(to[2:], uint32(n))
}

// indexOf is the way back from id.
func (b *book) indexOf(kind, id string) (uint64, bool) {
	if !isRecordID(id) {
		return 0, false
	}
	hidden, err := strconv.ParseUint(id[8:20], 16, 64)
	if err != nil {
		return 0, false
	}
	index := (hidden ^ uint64(roll(b.business.ID, kind))) & low48
	return index, b.id(kind, index) == id
}

// reference is how a record shows another one.
func (b *book) reference(collection string, index uint64, display string) object {
	id := b.id(collection, index)
	return object{{"id", id}, {"displayed_as", display}, {"$path", "/" + collection + "/" + id}}
}

// word is a reference to a record of a static list.
func word(collection, id, display string) object {
	return object{{"id", id}, {"displayed_as", display}, {"$path", "/" + collection + "/" + id}}
}

// series says when the records of a kind are made: so many in the first thirty days, then one every so often.
type series struct {
	kind  string
	first int
	every time.Duration
}

func (s series) created(b *book, i int) time.Time {
	at := begin().Add(time.Duration(i) * (startUp / time.Duration(s.first)))
	if i >= s.first {
		at = begin().Add(startUp + time.Duration(i-s.first+1)*s.every)
	}
	return at.Add(time.Duration(b.dice(s.kind, uint64(i)).below(3600, 1)) * time.Second)
}

// count is how many there are by now.
func (s series) count(b *book) int {
	elapsed := b.now.Sub(begin())
	if elapsed < 0 {
		return 0
	}
	n := s.first
	if elapsed > startUp {
		n += int((elapsed - startUp) / s.every)
	} else {
		n = min(n, int(elapsed/(startUp/time.Duration(s.first)))+1)
	}
	for n > 0 && s.created(b, n-1).After(b.now) {
		n--
	}
	return n
}

// rows lists what was made. Where touched, records are changed every few months, and every thirteenth is deleted after
// three weeks.
func (s series) rows(b *book, touched bool) []row {
	list := make([]row, 0, s.count(b))
	for i := range s.count(b) {
		list = append(list, s.row(b, i, touched))
	}
	return list
}

func (s series) row(b *book, i int, touched bool) row {
	r := row{index: uint64(i), created: s.created(b, i)}
	r.updated, r.date = r.created, r.created
	if !touched {
		return r
	}
	period := time.Duration(40+b.dice(s.kind, r.index).below(100, 2)) * day24
	r.updated = b.now.Add(-(b.now.Sub(r.created) % period)) // the last whole number of periods after it was made
	return b.deletedAfter(r, i%13 == 5)
}

// deletedAfter deletes a record three weeks after it was made.
func (b *book) deletedAfter(r row, doomed bool) row {
	if end := r.created.Add(21 * day24); doomed && !end.After(b.now) {
		r.deleted, r.updated = end, end
	}
	return r
}

// stamps are the members that every record begins with.
func (r row) stamps() object {
	return object{{"created_at", stamp(r.created)}, {"updated_at", stamp(r.updated)}}
}
