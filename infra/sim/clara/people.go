package clarasim

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// How much of what a company has. Transactions become more as time goes by.
const (
	userCount     = 40
	cardCount     = 60
	groupCount    = 12
	locationCount = 10
)

// The states and roles (Clara facts 4.5).
const (
	statusActive   = "ACTIVE"
	statusInactive = "INACTIVE"
	statusLocked   = "LOCKED"

	roleOwner      = "COMPANY_OWNER"
	roleManager    = "MANAGER"
	roleBookkeeper = "BOOKKEEPER"
	roleEmployee   = "EMPLOYEE"
)

// user is somebody who may hold cards. Nobody is called as a person is.
type user struct {
	index                           int
	uuid, name, last, email, role   string
	phone, personalTax, erp, status string
	created                         time.Time
	location                        location
	manager                         int // index; -1 for nobody
}

func (u user) fullName() string { return u.name + " " + u.last }

func (b *books) user(i int) user {
	d := b.roll("user", i)
	u := user{
		index: i, uuid: b.uuid("user", i), role: roleEmployee, status: statusActive, manager: 1 + i%4,
		phone: b.place().phone + fmt.Sprintf("%08d", d.below(100000000, 1)), erp: fmt.Sprintf("ERP-%04d", 1000+i),
		personalTax: "SIM" + strings.ToUpper(strconv.FormatInt(int64(d.below(1<<40, 2))+1<<40, 36)),
		created:     time.Date(2023, 1, 9, 9, 0, 0, 0, time.UTC).Add(time.Duration(i*17*24+d.below(24, 3)) * time.Hour),
		location:    b.location(i % locationCount),
	}
	switch {
	case i == 0:
		u.role, u.manager = roleOwner, -1
	case i <= 4:
		u.role, u.manager = roleManager, 0
	case i <= 6:
		u.role, u.manager = roleBookkeeper, 0
	}
	if i%9 == 8 {
		u.status = statusLocked
	}
	u.name = map[string]string{roleOwner: "Titular", roleManager: "Gerente", roleBookkeeper: "Contaduría", roleEmployee: "Colaboración"}[u.role]
	u.last = fmt.Sprintf("Núm. %d", i+1)
	u.email = fmt.Sprintf("user%02d.%s@example.com", i+1, strings.ToLower(b.tax))
	return u
}

// userWire is a user of version 3. Clara publishes its filters and not its members, which are assumed to be called the same.
type userWire struct {
	UUID          string `json:"uuid"`
	Name          string `json:"name"`
	LastName      string `json:"lastName"`
	FullName      string `json:"fullName"`
	Email         string `json:"email"`
	MobilePhone   string `json:"mobilePhone"`
	Status        string `json:"status"`
	Role          string `json:"role"`
	TaxIdentifier string `json:"taxIdentifier"`
	ErpID         string `json:"erpId"`
	CreatedAt     string `json:"createdAt"`
	Location      ref    `json:"location"`
	Manager       *ref   `json:"manager"`
}

func usersCollection() *collection {
	c := &collection{version: "v3", name: "users", permission: permitUsers, noun: "User", size: 50}
	c.filters = []filter{
		{name: "status", words: []string{statusActive, statusLocked}},
		{name: "role", words: []string{roleEmployee, roleManager, roleOwner, roleBookkeeper}},
		{name: "uuid"}, {name: "name"}, {name: "lastName"}, {name: "fullName"}, {name: "email"}, {name: "mobilePhone"}, {name: "taxIdentifier"}, {name: "erpId"},
		{name: "createdAtStart", facet: "createdAt", kind: dayFrom}, {name: "createdAtEnd", facet: "createdAt", kind: dayUntil},
		{name: "locationUuid"}, {name: "locationName"}, {name: "managerUuid"},
	}
	c.rows = func(b *books) []row {
		rows := make([]row, 0, userCount)
		for i := range userCount {
			rows = append(rows, b.userRow(b.user(i)))
		}
		return rows
	}
	return withFind(c)
}

func (b *books) userRow(u user) row {
	w := userWire{
		UUID: u.uuid, Name: u.name, LastName: u.last, FullName: u.fullName(), Email: u.email, MobilePhone: u.phone, Status: u.status, Role: u.role,
		TaxIdentifier: u.personalTax, ErpID: u.erp, CreatedAt: stamp(u.created), Location: ref{u.location.uuid, u.location.name},
	}
	managerUUID := ""
	if u.manager >= 0 {
		m := b.user(u.manager)
		w.Manager, managerUUID = &ref{m.uuid, m.fullName()}, m.uuid
	}
	return row{uuid: u.uuid, short: func() any { return w }, facets: map[string]string{
		"status": u.status, "role": u.role, "uuid": u.uuid, "name": u.name, "lastName": u.last, "fullName": u.fullName(), "email": u.email,
		"mobilePhone": u.phone, "taxIdentifier": u.personalTax, "erpId": u.erp, "createdAt": day(u.created),
		"locationUuid": u.location.uuid, "locationName": u.location.name, "managerUuid": managerUUID,
	}}
}

// location is an office. One that is closed is listed all the same.
type location struct {
	uuid, name, code, status string
	created                  time.Time
}

func (b *books) location(i int) location {
	towns := b.place().towns
	town, kind := towns[i%len(towns)], "Oficina"
	if i >= len(towns) {
		kind = "Depósito"
	}
	l := location{
		uuid: b.uuid("location", i), name: kind + " - " + town, code: fmt.Sprintf("LOC-%02d", i+1), status: statusActive,
		created: time.Date(2022, time.Month(1+i), 15, 10, 30, 0, 0, time.UTC),
	}
	if i == 3 || i == 8 {
		l.status = statusInactive
	}
	return l
}

type locationWire struct {
	UUID      string `json:"uuid"`
	Name      string `json:"name"`
	Code      string `json:"code"`
	Status    string `json:"status"`
	CreatedAt string `json:"createdAt,omitempty"` // of one that is shown alone
}

func locationsCollection() *collection {
	c := &collection{version: "v2", name: "locations", permission: permitLocations, noun: "Location", size: 50, array: true}
	c.rows = func(b *books) []row {
		rows := make([]row, 0, locationCount)
		for i := range locationCount {
			l := b.location(i)
			w := locationWire{UUID: l.uuid, Name: l.name, Code: l.code, Status: l.status}
			rows = append(rows, row{uuid: l.uuid, short: func() any { return w }, long: func() any {
				w.CreatedAt = stamp(l.created)
				return w
			}})
		}
		return rows
	}
	return withFind(c)
}

type groupWire struct {
	UUID        string `json:"uuid"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Status      string `json:"status"`
}

func groupsCollection() *collection {
	c := &collection{version: "v2", name: "groups", permission: permitGroups, noun: "Group", size: 50, array: true}
	c.rows = func(b *books) []row {
		rows := make([]row, 0, groupCount)
		for i := range groupCount {
			w := groupWire{b.uuid("group", i), fmt.Sprintf("Equipo %02d", i+1), "Gastos del equipo " + strconv.Itoa(i+1), statusActive}
			if i == 5 {
				w.Status = statusInactive
			}
			rows = append(rows, row{uuid: w.UUID, short: func() any { return w }})
		}
		return rows
	}
	return withFind(c)
}

// card belongs to one user.
type card struct {
	uuid, last, kind, status, lock, periodicity, alias string
	threshold                                          money
	user                                               user
}

func cardTypes() []string {
	return []string{"MASTER_VIRTUAL", "MASTER_WORLD_ELITE", "MASTER_CORPORATE"}
}

func (b *books) card(i int) card {
	d := b.roll("card", i)
	c := card{
		uuid: b.uuid("card", i), last: fmt.Sprintf("%04d", d.below(10000, 1)), kind: cardTypes()[d.below(3, 2)], status: statusActive, lock: "UNLOCKED",
		periodicity: []string{"DAILY", "WEEKLY", "MONTHLY"}[d.below(3, 3)], alias: fmt.Sprintf("Tarjeta %02d", i+1),
		threshold: b.place().factor * money(10000*(1+d.below(50, 4))), user: b.user(i * 7 % userCount),
	}
	switch i % 12 {
	case 4:
		c.status, c.lock = "BLOCKED", "LOCKED"
	case 7:
		c.status = "CANCELLED"
	case 11:
		c.status = "EXPIRED"
	}
	return c
}

type cardWire struct {
	UUID        string   `json:"uuid"`
	ClaraStatus string   `json:"claraStatus"`
	Status      string   `json:"status"`
	LockCode    string   `json:"lockCode"`
	Alias       string   `json:"alias"`
	Threshold   money    `json:"threshold"`
	Periodicity string   `json:"periodicity"`
	MaskedPan   string   `json:"maskedPan"`
	Type        string   `json:"type"`
	Brand       string   `json:"brand"`
	User        cardUser `json:"user"`
}

type cardUser struct {
	UUID     string `json:"uuid"`
	FullName string `json:"fullName"`
	Username string `json:"username"`
}

func cardsCollection() *collection {
	c := &collection{version: "v3", name: "cards", permission: permitCards, noun: "Card", size: 50}
	c.filters = []filter{
		{name: "userUuid"}, {name: "userErpId"}, {name: "username"}, {name: "status", words: []string{statusActive, "BLOCKED", "CANCELLED", "EXPIRED"}},
		{name: "periodicity", words: []string{"DAILY", "WEEKLY", "MONTHLY"}}, {name: "type", words: cardTypes()},
	}
	c.check = func(query url.Values) error {
		if len(query["userUuid"]) > 0 && len(query["userErpId"]) > 0 {
			return badValue("userUuid and userErpId cannot be used together")
		}
		return nil
	}
	c.rows = func(b *books) []row {
		rows := make([]row, 0, cardCount)
		for i := range cardCount {
			c := b.card(i)
			w := cardWire{
				UUID: c.uuid, ClaraStatus: c.status, Status: c.status, LockCode: c.lock, Alias: c.alias, Threshold: c.threshold, Periodicity: c.periodicity,
				MaskedPan: "510979******" + c.last, Type: c.kind, Brand: "MASTERCARD", User: cardUser{c.user.uuid, c.user.fullName(), c.user.email},
			}
			rows = append(rows, row{uuid: c.uuid, short: func() any { return w }, facets: map[string]string{
				"userUuid": c.user.uuid, "userErpId": c.user.erp, "username": c.user.email, "status": c.status, "periodicity": c.periodicity, "type": c.kind,
			}})
		}
		return rows
	}
	return withFind(c)
}
