package dynamostore

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"connectorvault/shared/store"
)

// The promise's limits and DynamoDB's (fact sheet aws 3.1).
const (
	maxOps  = 25
	maxGet  = 100
	maxItem = 400 << 10 // bytes, names and values together
)

// check refuses what DynamoDB would misread or not notice; what it refuses itself is left to it.
func check(ops []store.Op) error {
	if len(ops) == 0 || len(ops) > maxOps {
		return fmt.Errorf("%d writes at once: from 1 to %d can be", len(ops), maxOps)
	}
	if len(ops) == 1 && ops[0].Verb == store.Verify {
		return errors.New("a Verify stands beside other writes, never alone")
	}
	for i, op := range ops {
		if err := checkOp(op); err != nil {
			return fmt.Errorf("write %d: %w", i, err)
		}
		for _, before := range ops[:i] {
			if before.Table == op.Table && before.Key == op.Key {
				return fmt.Errorf("write %d: an earlier one is of the same item", i)
			}
		}
	}
	return nil
}

func checkOp(op store.Op) error {
	if err := checkKey(op.Key); err != nil {
		return err
	}
	if err := checkSet(op.Key, op.Set); err != nil {
		return err
	}
	for _, attr := range op.Remove {
		if err := checkName(attr); err != nil {
			return err
		}
	}
	for attr := range op.Add {
		if err := checkName(attr); err != nil {
			return err
		}
	}
	switch {
	case op.Verb < store.Put || op.Verb > store.Verify:
		return fmt.Errorf("there is no verb %d", op.Verb)
	case op.Verb != store.Update && len(op.Remove)+len(op.Add) > 0:
		return errors.New("only an Update removes and adds attributes")
	case op.Verb > store.Update && len(op.Set) > 0:
		return errors.New("only a Put or an Update sets attributes")
	}
	return checkCond(op.If)
}

// checkKey refuses other bytes than UTF-8, because JSON would change them on the way.
func checkKey(k store.Key) error {
	if !utf8.ValidString(k.Partition) || !utf8.ValidString(k.Sort) {
		return errors.New("the key is not UTF-8")
	}
	return nil
}

func checkSet(key store.Key, set store.Attrs) error {
	if err := set.Check(); err != nil {
		return err
	}
	size := len(attrPartition) + len(key.Partition) + len(attrSort) + len(key.Sort)
	for attr, v := range set {
		if err := checkName(attr); err != nil {
			return err
		}
		if text, ok := v.(string); ok && !utf8.ValidString(text) {
			return fmt.Errorf("attribute %s: a string that is not UTF-8", attr)
		}
		size += len(attr) + sizeOf(v)
	}
	if size > maxItem {
		return fmt.Errorf("an item of %d bytes: at most %d are kept", size, maxItem)
	}
	return nil
}

// sizeOf is what DynamoDB counts for a value.
func sizeOf(v any) int {
	switch v := v.(type) {
	case string:
		return len(v)
	case []byte:
		return len(v)
	case int64:
		return len(strconv.FormatInt(v, 10))/2 + 2
	default:
		return 1
	}
}

func checkName(attr string) error {
	switch attr {
	case attrPartition, attrSort, attrMark, "":
		return fmt.Errorf("attribute name %q is the driver's own", attr)
	}
	if !utf8.ValidString(attr) {
		return errors.New("an attribute's name is not UTF-8")
	}
	return nil
}

func checkCond(c *store.Cond) error {
	if c == nil {
		return nil
	}
	for _, part := range c.Of {
		if err := checkCond(part); err != nil {
			return err
		}
	}
	switch c.Kind {
	case store.CondHas, store.CondLacks:
		return checkName(c.Attr)
	case store.CondEqual:
		return checkSet(store.Key{}, store.Attrs{c.Attr: c.Value})
	case store.CondLess, store.CondAtMost:
		if _, ok := c.Value.(int64); !ok {
			return fmt.Errorf("condition on %s: a %T is no bound", c.Attr, c.Value)
		}
		return checkName(c.Attr)
	case store.CondExists, store.CondAbsent, store.CondAll, store.CondAny:
		return nil
	default:
		return fmt.Errorf("there is no condition of kind %d", c.Kind)
	}
}
