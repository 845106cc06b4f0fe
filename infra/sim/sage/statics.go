package sagesim

import "strings"

// statics are the lists that are the same for everybody. A line is a collection, what it can be filtered by, and its
// records: the id and, where it is not the id in other letters, the name.
const statics = `
address_regions|country_id|GB-ENG=England GB-SCT=Scotland GB-WLS=Wales GB-NIR=Northern_Ireland CA-NS=Nova_Scotia CA-ON=Ontario CA-QC=Québec US-OR=Oregon US-TX=Texas ES-RI=La_Rioja
address_types||ACCOUNTS DELIVERY PURCHASING SALES
artefact_statuses||DRAFT PRO_FORMA UNPAID PART_PAID PAID VOID
attachment_context_types||SALES_INVOICE PURCHASE_INVOICE SALES_CREDIT_NOTE PURCHASE_CREDIT_NOTE CONTACT JOURNAL OTHER_PAYMENT
bank_account_types||CHECKING=Current SAVINGS CREDIT_CARD CASH_IN_HAND LOAN OTHER
business_activity_types||SERVICES TRADE CRAFT
business_types||SOLE_TRADER LIMITED_COMPANY PARTNERSHIP CHARITY
catalog_item_types||PRODUCT SERVICE STOCK
coa_templates|country_id|GB_SMALL_BUSINESS IE_SMALL_BUSINESS CA_SMALL_BUSINESS US_SMALL_BUSINESS DE_SMALL_BUSINESS ES_SMALL_BUSINESS FR_SMALL_BUSINESS
contact_opening_balance_types||INVOICE CREDIT_NOTE
contact_person_types||ACCOUNTS PURCHASING SALES
contact_types||CUSTOMER VENDOR
corrective_reason_codes||R1 R2 R3 R4 R5
countries||GB=United_Kingdom IE=Ireland CA=Canada US=United_States DE=Germany ES=Spain FR=France AT=Austria BE=Belgium CH=Switzerland IT=Italy NL=Netherlands NO=Norway PL=Poland PT=Portugal SE=Sweden AU=Australia BR=Brazil IN=India JP=Japan MX=Mexico NZ=New_Zealand ZA=South_Africa
countries_of_registration||GB=United_Kingdom IE=Ireland CA=Canada US=United_States DE=Germany ES=Spain FR=France
country_groups||EU=European_Union GBIE=United_Kingdom_and_Ireland REST=Rest_of_the_World
currencies||GBP=Pound_Sterling EUR=Euro USD=US_Dollar CAD=Canadian_Dollar CHF=Swiss_Franc JPY=Yen AUD=Australian_Dollar SEK=Swedish_Krona
eu_goods_services_types||GOODS SERVICES
eu_sales_descriptions||GOODS TRIANGULAR SERVICES
exchange_rates||EUR USD CAD CHF JPY
journal_code_types||SALES PURCHASES BANK OTHER
ledger_account_classifications|ledger_account_type_id|ASSETS LIABILITIES EQUITY REVENUE EXPENSES
ledger_account_types|ledger_account_classification_id|CURRENT_ASSETS BANK CURRENT_LIABILITIES EQUITY SALES OTHER_INCOME DIRECT_EXPENSES OVERHEADS
legal_form_types||GMBH=GmbH SARL SL=S.L. EURL
live_exchange_rates||EUR USD CAD CHF JPY
payment_methods||ELECTRONIC CHECK=Cheque CASH CREDIT_DEBIT=Credit/Debit
quick_entry_types||INVOICE CREDIT_NOTE
tax_offices||1001=Office_1001 1002=Office_1002
tax_return_frequencies|tax_type_id|MONTHLY QUARTERLY ANNUALLY
tax_schemes||STANDARD CASH FLAT_RATE NOT_REGISTERED
tax_types||VAT GST HST
transaction_types||SALES_INVOICE PURCHASE_INVOICE SALES_CREDIT_NOTE PURCHASE_CREDIT_NOTE CUSTOMER_RECEIPT VENDOR_PAYMENT OTHER_PAYMENT OTHER_RECEIPT JOURNAL BANK_TRANSFER BANK_DEPOSIT CUSTOMER_ALLOCATION VENDOR_ALLOCATION SALES_INVOICE_QUICK_ENTRY PURCHASE_INVOICE_QUICK_ENTRY SALES_CORRECTIVE_INVOICE PURCHASE_CORRECTIVE_INVOICE
`

// staticResources reads the lists. They are never written to.
func staticResources() []resource {
	var list []resource
	for line := range strings.Lines(strings.TrimSpace(statics)) {
		parts := strings.Split(strings.TrimSpace(line), "|")
		words := strings.Fields(parts[2])
		list = append(list, resource{
			name: parts[0], filters: parts[1],
			rows: func(*book) []row {
				rows := make([]row, len(words))
				for i, w := range words {
					id, _, _ := strings.Cut(w, "=")
					rows[i] = row{word: id, index: uint64(i), created: begin(), updated: begin()}
				}
				return rows
			},
			render: staticRecord(parts[0], words),
		})
	}
	return list
}

func staticRecord(collection string, words []string) func(*book, row) object {
	return func(_ *book, r row) object {
		id, name, named := strings.Cut(words[r.index], "=")
		if named {
			name = strings.ReplaceAll(name, "_", " ")
		} else {
			name = title(id)
		}
		o := append(object{{"displayed_as", name}}, r.stamps()...)
		o = append(o, member{"name", name})
		switch collection {
		case "address_regions", "coa_templates": // the country is the id's beginning
			o = append(o, member{"country", word("countries", id[:2], countryName(id[:2]))})
		case "exchange_rates", "live_exchange_rates":
			o = append(o, object{{"currency", word("currencies", id, id)}, {"rate", money(80 + 7*r.index)}, {"inverse_rate", money(125)}}...)
		}
		return o
	}
}
