package store

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"
)

// What every driver refuses, and DynamoDB's limits are everybody's: what one engine takes, the other takes.
const (
	MaxOps = 25  // of one Apply
	MaxGet = 100 // keys of one GetMany

	maxPartition = 2048       // bytes
	maxSort      = 1024       // bytes
	maxItem      = 400 * 1024 // bytes, names and values together
)

// CheckOps refuses what no engine could carry out, or not every engine alike, before anything is sent.
func CheckOps(ops []Op) error {
	if len(ops) == 0 || len(ops) > MaxOps {
		return fmt.Errorf("%d writes in one call: 1 to %d are possible", len(ops), MaxOps)
	}
	if len(ops) == 1 && ops[0].Verb == Verify {
		return errors.New("a lone Verify writes nothing")
	}
	type address struct {
		table Table
		key   Key
	}
	seen := make(map[address]bool, len(ops))
	for i, op := range ops {
		at := address{op.Table, op.Key}
		if seen[at] {
			return fmt.Errorf("write %d: an earlier one touches the same item", i)
		}
		seen[at] = true
		if err := checkOp(op); err != nil {
			return fmt.Errorf("write %d: %w", i, err)
		}
	}
	return nil
}

func checkOp(op Op) error {
	if err := cmp.Or(CheckKey(op.Table, op.Key), checkAttrs(op.Set), checkCond(op.If)); err != nil {
		return err
	}
	switch op.Verb {
	case Put:
		if len(op.Remove)+len(op.Add) > 0 {
			return errors.New("a Put takes neither Remove nor Add")
		}
	case Update:
		return checkUpdate(op)
	case Delete, Verify:
		if len(op.Set)+len(op.Remove)+len(op.Add) > 0 {
			return errors.New("a Delete or Verify changes no attributes")
		}
	default:
		return fmt.Errorf("verb %d is unknown", op.Verb)
	}
	return nil
}

// checkUpdate sees to it that each attribute is changed in one way, for the order of changes is not promised.
func checkUpdate(op Op) error {
	for name := range op.Add {
		if _, both := op.Set[name]; both || slices.Contains(op.Remove, name) {
			return fmt.Errorf("attribute %s is changed in two ways", name)
		}
		if err := checkName(name); err != nil {
			return err
		}
	}
	for _, name := range op.Remove {
		if _, both := op.Set[name]; both {
			return fmt.Errorf("attribute %s is changed in two ways", name)
		}
		if err := checkName(name); err != nil {
			return err
		}
	}
	return nil
}

// CheckKey refuses tables that are not there, and keys that an engine does not take.
func CheckKey(table Table, key Key) error {
	if !slices.Contains(Tables(), table) {
		return fmt.Errorf("table %q is unknown", table)
	}
	if key.Partition == "" || key.Sort == "" || len(key.Partition) > maxPartition || len(key.Sort) > maxSort {
		return fmt.Errorf("a key's partition has 1 to %d bytes and its sort key 1 to %d", maxPartition, maxSort)
	}
	if !utf8.ValidString(key.Partition) || !utf8.ValidString(key.Sort) {
		return errors.New("a key is UTF-8")
	}
	return nil
}

func checkAttrs(attrs Attrs) error {
	if err := attrs.Check(); err != nil {
		return err
	}
	for name, value := range attrs {
		if err := checkName(name); err != nil {
			return err
		}
		if text, ok := value.(string); ok && !utf8.ValidString(text) {
			return fmt.Errorf("attribute %s: a string is UTF-8; other bytes go into a []byte", name)
		}
	}
	return nil
}

// checkName refuses the names that drivers need themselves.
func checkName(name string) error {
	if name == "" || name == "pk" || name == "sk" || name == "_" || !utf8.ValidString(name) {
		return fmt.Errorf("attribute name %q is not allowed", name)
	}
	return nil
}

func checkCond(c *Cond) error {
	if c == nil {
		return nil
	}
	switch c.Kind {
	case CondExists, CondAbsent:
	case CondHas, CondLacks:
		return checkName(c.Attr)
	case CondEqual:
		return checkAttrs(Attrs{c.Attr: c.Value})
	case CondLess, CondAtMost:
		if _, ok := c.Value.(int64); !ok {
			return fmt.Errorf("condition on %s: %T is not a limit", c.Attr, c.Value)
		}
		return checkName(c.Attr)
	case CondAll, CondAny:
		for _, part := range c.Of {
			if err := checkCond(part); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("condition kind %d is unknown", c.Kind)
	}
	return nil
}

// Size is how large an item is, in bytes, as DynamoDB counts it for its limit and its price.
func Size(key Key, attrs Attrs) int {
	size := len(key.Partition) + len(key.Sort) + len("pksk")
	for name, value := range attrs {
		size += len(name)
		switch v := value.(type) {
		case string:
			size += len(v)
		case []byte:
			size += len(v)
		case int64:
			size += len(strconv.FormatInt(v, 10))/2 + 2
		default:
			size++
		}
	}
	return size
}

// CheckItem refuses an item, as it would be stored, that is too large, or that the due index could not take.
func CheckItem(table Table, key Key, attrs Attrs) error {
	size := Size(key, attrs)
	if size > maxItem {
		return fmt.Errorf("the item has %d bytes, over the limit of %d", size, maxItem)
	}
	if table != Credentials {
		return nil
	}
	if shard, has := attrs[AttrDueShard]; has {
		if text, ok := shard.(string); !ok || text == "" {
			return fmt.Errorf("attribute %s: a string that is not empty is needed", AttrDueShard)
		}
	}
	if at, has := attrs[AttrDueAt]; has {
		if _, ok := at.(int64); !ok {
			return fmt.Errorf("attribute %s: an int64 is needed", AttrDueAt)
		}
	}
	return nil
}
