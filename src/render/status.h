/* What runs of a lab: as a table for people, as a document for programs ("nestvisor/status/1"). */
#ifndef NESTVISOR_RENDER_STATUS_H
#define NESTVISOR_RENDER_STATUS_H

#include "base/json.h"
#include "model/status.h"
#include "render/text.h"

/* `now`: seconds since the epoch, for how long guests have been up; 0: leave that out. */
void status_table(const struct lab_status *status, long long now, const struct style *style, struct strbuf *out);

enum colour world_colour(enum world world);

/* {"lab", "host": {…}, "networks": […], "guests": [{…, "guests": […]}]}; a new reference. */
json_t *status_json(const struct lab_status *status);

#endif
