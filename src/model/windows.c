#include "model/windows.h"

#include <string.h>

unsigned windows_version(const char *os)
{
	static const struct {
		const char *os;
		enum windows_version version;
	} known[] = {{"windows-11", WINDOWS_11}, {"windows-10", WINDOWS_10}, {"windows-server", WINDOWS_SERVER}};

	for (size_t i = 0; os && i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(os, known[i].os) == 0)
			return known[i].version;
	return 0;
}

const char *windows_drivers(enum windows_version version, unsigned build)
{
	if (version != WINDOWS_SERVER)
		return version == WINDOWS_11 ? "w11" : "w10";
	return build >= 26100 ? "2k25" : build >= 20348 || build == 0 ? "2k22" : build >= 17763 ? "2k19" : "2k16";
}
