/* Network namespaces (network_namespaces(7)): a thread's visit to another one. */
#ifndef NESTVISOR_BASE_NETNS_H
#define NESTVISOR_BASE_NETNS_H

struct error;

/* The calling thread's own, also below /proc/sys/net: what is read there is always of the thread that reads. */
#define NETNS_OF_THREAD "/proc/thread-self/ns/net"

/*
 * A thread's stay in another namespace. Only the calling thread moves (setns(2)); sockets, tap devices and writes to
 * /proc/sys/net made meanwhile belong to the namespace. A thread that cannot get home would do its further work in the
 * wrong network, so netns_leave ends the program in that case. netns -1 stays at home.
 */
struct netns_visit {
	int home;
};
int netns_enter(int netns, struct netns_visit *visit, struct error **err);
void netns_leave(struct netns_visit *visit);

#endif
