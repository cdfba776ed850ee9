#include "doctor/checks.h"

const struct check *const doctor_checks[] = {
#define CHECK(name) &check_##name,
#include "doctor/check_list.h"
#undef CHECK
	NULL,
};
