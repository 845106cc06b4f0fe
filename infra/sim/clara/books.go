package clarasim

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"connectorvault/infra/sim/engine"
)

// books are what a company owns at Clara, as it is now. They follow from country, side, tax identifier and clock, so that any
// process works out the same, and so that a project that replaces another one reads the same company.
type books struct {
	country, side, tax string
	now                time.Time
	shape              string                             // of FaultShapes
	files              func(document) (string, time.Time) // where a file may be fetched, and until when
	kept               *sync.Map                          // months of transactions, by written; nil: they are made each time
}

// dice is a number that looks random and is always the same for the same words.
type dice uint64

func roll(words ...string) dice {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	return dice(binary.BigEndian.Uint64(sum[:]))
}

// below returns a number from 0 to n-1. The salt makes another throw of it.
func (d dice) below(n int, salt uint64) int {
	x := uint64(d) + salt*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return int((x ^ x>>31) % uint64(n))
}

func (b *books) roll(kind string, index int) dice {
	return roll(b.country, b.side, b.tax, kind, strconv.Itoa(index))
}

// uuid identifies a record of this company.
func (b *books) uuid(kind string, index int) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{"uuid", b.country, b.side, b.tax, kind, strconv.Itoa(index)}, "\x00")))
	return engine.FormatUUID(sum[:16])
}

// place is what differs by country.
type place struct {
	currency string
	factor   money // prices are higher by so much
	phone    string
	towns    []string
	shops    []shop
}

type shop struct{ name, label, category string }

func (b *books) place() place {
	switch b.country {
	case CountryBrazil:
		return place{"BRL", 1, "11", []string{"São Paulo", "Rio de Janeiro", "Curitiba", "Recife", "Belém"}, []shop{
			{"Padaria São João", "PADARIA SAO JOAO", "RESTAURANTS"}, {"Posto Ipiranga 12", "POSTO IPIRANGA 12", "FUEL"}, {"Ônibus Expresso", "ONIBUS EXPRESSO", "TRAVEL"},
			{"Papelaria Açaí & Cia", "PAPELARIA ACAI", "OFFICE"}, {"Nuvem Serviços", "NUVEM SERVICOS", "SOFTWARE"},
		}}
	case CountryColombia:
		return place{"COP", 200, "300", []string{"Bogotá", "Medellín", "Cali", "Cartagena", "Pasto"}, []shop{
			{"Café del Páramo", "CAFE DEL PARAMO", "RESTAURANTS"}, {"Estación El Nogal", "ESTACION EL NOGAL", "FUEL"}, {"Vuelos Andinos", "VUELOS ANDINOS", "TRAVEL"},
			{"Papelería Ñame", "PAPELERIA NAME", "OFFICE"}, {"Nube Segura", "NUBE SEGURA", "SOFTWARE"},
		}}
	}
	return place{"MXN", 5, "55", []string{"CDMX", "Guadalajara", "Monterrey", "Mérida", "León"}, []shop{
		{"Tacos El Güero", "TACOS EL GUERO", "RESTAURANTS"}, {"Gasolinera Núm. 8", "GASOLINERA NUM 8", "FUEL"}, {"Vuelos del Golfo", "VUELOS DEL GOLFO", "TRAVEL"},
		{"Papelería Año Nuevo", "PAPELERIA ANO NUEVO", "OFFICE"}, {"Nube \"Total\" S.A.", "NUBE TOTAL SA", "SOFTWARE"},
	}}
}

// money is an amount of hundredths. The wire has it as a number with a fraction, as Java writes a double: 1000.0, 149.99.
type money int64

// MarshalJSON implements json.Marshaler.
func (m money) MarshalJSON() ([]byte, error) {
	sign, n := "", int64(m)
	if n < 0 {
		sign, n = "-", -n
	}
	fraction := strings.TrimSuffix(fmt.Sprintf("%02d", n%100), "0")
	return []byte(sign + strconv.FormatInt(n/100, 10) + "." + fraction), nil
}

// flag and word write what Clara's documents write in two ways (Clara facts 4.5).
func (b *books) flag(index int, is bool) any {
	if b.shape == ShapeString || b.shape == ShapeMixed && index%2 == 0 {
		return is
	}
	return struct {
		Value bool `json:"value"`
	}{is}
}

func (b *books) word(index int, w word) any {
	if b.shape == ShapeObject || b.shape == ShapeMixed && index%2 != 0 {
		return w
	}
	return w.Description
}

// word is a status with both its names.
type word struct {
	Code        string `json:"code"`
	Description string `json:"description"`
}

// stamp and day write times as the wire has them.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
func day(t time.Time) string   { return t.UTC().Format(time.DateOnly) }

// ref names another record.
type ref struct {
	UUID string `json:"uuid"`
	Name string `json:"name,omitempty"`
}

// collections are what the API lists. Groups and locations exist in version 2 only (Clara facts 4.5).
var collections = []*collection{
	transactionsCollection(), usersCollection(), cardsCollection(), groupsCollection(), locationsCollection(), statementsCollection(),
}

// withFind looks records up among all, where there is no shorter way.
func withFind(c *collection) *collection {
	c.find = func(b *books, key string) (row, bool) {
		for _, r := range c.rows(b) {
			if r.uuid == key {
				return r, true
			}
		}
		return row{}, false
	}
	return c
}
