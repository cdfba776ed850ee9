/* Where nestvisor keeps things on a host. NESTVISOR_RUN_DIR and NESTVISOR_STATE_DIR replace what is said here. */
#ifndef NESTVISOR_BASE_PLACES_H
#define NESTVISOR_BASE_PLACES_H

const char *places_run_root(void);   /* "/run/nestvisor": goes with a reboot */
const char *places_state_root(void); /* "/var/lib/nestvisor" */

/*
 * The same for what a user may do without being root: places_state_root() for root, else $XDG_STATE_HOME/nestvisor or
 * ~/.local/state/nestvisor (XDG Base Directory Specification 0.8). To be freed; NULL where there is no home.
 */
char *places_user_state(void);

#endif
