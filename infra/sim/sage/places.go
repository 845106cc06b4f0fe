package sagesim

// profile is what differs between the countries that a business may be in.
type profile struct {
	country, currency, currencyName, locale string
	suffix, city, postcode, phone           string
	taxNumber                               string
	taxes                                   []taxRate // the first one is the standard rate
}

// taxRate is a rate in hundredths of a percent.
type taxRate struct {
	id, name string
	percent  money
}

func profileOf(country string) profile {
	switch country {
	case "IE":
		return profile{"IE", "EUR", "Euro", "en-IE", "Ltd", "Cork", "T12 X000", "+353 21 496 0", "IE9000000A", []taxRate{
			{"IE_STANDARD", "Standard", 2300}, {"IE_REDUCED_1", "Reduced", 1350}, {"IE_ZERO", "Zero Rated", 0}, {"IE_EXEMPT", "Exempt", 0}, {"IE_NO_TAX", "No VAT", 0}}}
	case "CA":
		return profile{"CA", "CAD", "Canadian Dollar", "en-CA", "Inc.", "Halifax", "B3H 0A0", "+1 506 555 0", "900000000RT0001", []taxRate{
			{"CA_HST", "HST", 1500}, {"CA_GST", "GST", 500}, {"CA_ZERO", "Zero Rated", 0}, {"CA_EXEMPT", "Exempt", 0}}}
	case "US":
		return profile{"US", "USD", "US Dollar", "en-US", "LLC", "Portland", "97200", "+1 503 555 0", "00-0000000", []taxRate{
			{"US_STANDARD", "Sales Tax", 825}, {"US_ZERO", "Zero", 0}, {"US_EXEMPT", "Exempt", 0}}}
	case "DE":
		return profile{"DE", "EUR", "Euro", "de-DE", "GmbH", "München", "80000", "+49 89 00000 0", "DE900000000", []taxRate{
			{"DE_STANDARD", "Regelsteuersatz", 1900}, {"DE_LOWER", "Ermäßigt", 700}, {"DE_ZERO", "Steuerfrei", 0}}}
	case "ES":
		return profile{"ES", "EUR", "Euro", "es-ES", "S.L.", "Logroño", "26000", "+34 941 00 0", "ESB90000000", []taxRate{
			{"ES_STANDARD", "General", 2100}, {"ES_LOWER_1", "Reducido", 1000}, {"ES_LOWER_2", "Superreducido", 400}, {"ES_EXEMPT", "Exento", 0}}}
	case "FR":
		return profile{"FR", "EUR", "Euro", "fr-FR", "SARL", "Saint-Étienne", "42000", "+33 4 65 71 0", "FR00900000000", []taxRate{
			{"FR_STANDARD", "Taux normal", 2000}, {"FR_LOWER_1", "Taux moyen", 1000}, {"FR_LOWER_2", "Taux réduit", 550}, {"FR_EXEMPT", "Exonéré", 0}}}
	}
	return profile{"GB", "GBP", "Pound Sterling", "en-GB", "Ltd", "Sheffield", "S1 0AA", "+44 114 496 0", "GB900000000", []taxRate{
		{"GB_STANDARD", "Standard", 2000}, {"GB_LOWER", "Lower Rate", 500}, {"GB_ZERO", "Zero Rated", 0}, {"GB_EXEMPT", "Exempt", 0}, {"GB_NO_TAX", "No VAT", 0}}}
}

func (p profile) currencyRef() object {
	return word("currencies", p.currency, p.currencyName+" ("+p.currency+")")
}

func (p profile) countryRef() object {
	return word("countries", p.country, countryName(p.country)+" ("+p.country+")")
}

func (r taxRate) ref() object {
	return word("tax_rates", r.id, r.display())
}

func (r taxRate) display() string { return r.name + " " + r.percent.String() + "%" }
