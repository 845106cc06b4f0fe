package amazon

import (
	"slices"
	"time"

	"connectorvault/shared/resource"
)

// resources is everything that can be read: the resources with names of our own first, then every other operation
// that only reads, named by its operationId in kebab case. Paths, rates and bursts are those of the models and
// operation list of 2026-08-05 (Amazon facts 7); a test compares them.
func resources() []resource.Resource {
	return slices.Concat(
		orderResources(),
		inventoryResources(),
		catalogResources(),
		listingResources(),
		financeResources(),
		reportResources(),
		feedResources(),
		sellerResources(),
		pricingResources(),
		inboundV0Resources(),
		inboundResources(),
		outboundResources(),
		notificationResources(),
		dataKioskResources(),
	)
}

// The kinds of account that operations serve. An operation that names none serves both.
func sellersOnly() []string { return []string{seller} }

// nextToken is the paging style of operations whose token comes and goes under the same name at the top of the answer.
func nextToken(size string, most int) resource.Paging {
	return resource.Paging{Param: "nextToken", Next: "nextToken", Size: size, MaxSize: most}
}

// paginated is the style of the newer operations: the token comes in a pagination object.
func paginated(param, size string, most int) resource.Paging {
	return resource.Paging{Param: param, Next: "pagination.nextToken", Size: size, MaxSize: most}
}

// Announced removals (Amazon facts 8).
func financesV0Removal() time.Time { return time.Date(2027, 8, 27, 0, 0, 0, 0, time.UTC) }
