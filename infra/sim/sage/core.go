package sagesim

import (
	"math"
	"slices"
)

// businessEnvelope is that of /businesses, which is not paged and spells one member otherwise (Sage facts 2.3).
type businessEnvelope struct {
	Total   int      `json:"$total"`
	Page    int      `json:"$page"`
	Next    *string  `json:"$next"`
	Back    *string  `json:"$back"`
	PerPage int      `json:"$items_per_page"`
	Items   []object `json:"$items"`
}

// answerBusinesses answers for the user's businesses as they are now: the set may change after the authorization.
func (c *apiCall) answerBusinesses() (reply, error) {
	if c.route.operation == opBusinesses {
		out := businessEnvelope{Total: len(c.owned), Page: 1, PerPage: math.MaxInt32, Items: []object{}}
		for _, b := range c.owned {
			out.Items = append(out.Items, c.businessObject(b, false))
		}
		return reply{body: out}, nil
	}
	i := slices.IndexFunc(c.owned, func(b Business) bool {
		return c.route.operation == opLead && b.Lead || c.route.operation == opBusiness && b.ID == c.route.key
	})
	if i < 0 {
		return reply{}, errNotThere
	}
	return reply{body: c.businessObject(c.owned[i], true)}, nil
}

func (c *apiCall) businessObject(b Business, whole bool) object {
	place := profileOf(b.Country)
	status := "paying"
	if !b.Active {
		status = "lapsed"
	}
	return c.membersOf(object{{"id", b.ID}, {"displayed_as", b.Name}, {"$path", "/businesses/" + b.ID}}, object{
		{"created_at", stamp(begin())}, {"updated_at", stamp(begin())}, {"name", b.Name}, {"address_line_1", "1 Market Street"}, {"address_line_2", nil},
		{"city", place.city}, {"postal_code", place.postcode}, {"country", place.countryRef()}, {"region", nil}, {"telephone", place.phone + "000"},
		{"mobile", nil}, {"website", nil}, {"is_demo", false},
		{"subscriptions", []object{{{"id", "ACCOUNTING"}, {"displayed_as", "Accounting"}, {"active", b.Active}, {"status", status}}}},
	}, whole)
}

func (s *Simulator) answerUser(c *apiCall) (reply, error) {
	u, known := s.user(c.token.Subject)
	if !known {
		return reply{}, errNotThere
	}
	return reply{body: object{
		{"id", u.ID}, {"displayed_as", u.FirstName + " " + u.LastName}, {"$path", "/user"}, {"created_at", stamp(begin())}, {"updated_at", stamp(begin())},
		{"first_name", u.FirstName}, {"last_name", u.LastName}, {"initials", u.FirstName[:1] + u.LastName[:1]}, {"email", u.Email},
		{"locale", profileOf(u.Country).locale},
	}}, nil
}
