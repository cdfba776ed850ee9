/* How checks put fixes together (fix.h). All of it lives in the examination's arena. */
#ifndef NESTVISOR_DOCTOR_MEND_H
#define NESTVISOR_DOCTOR_MEND_H

#include "doctor/doctor.h"

/* A fix of this finding's check, without actions; the finding says it from then on. */
struct fix *mend_new(struct examination *examination, struct finding *finding, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* A file that has exactly this text afterwards. */
void mend_file(struct examination *examination, struct fix *fix, const char *path, const char *text);
/* Shell words, each with "$1" for `argument` (NULL: none): what to do, how to take it back (NULL: nothing), how to see
 * that it is done (NULL: cannot be seen), and what must hold before anything is touched (NULL: nothing). */
void mend_run(struct examination *examination, struct fix *fix, const char *argument, const char *run, const char *undo,
	      const char *done, const char *safe);
/* Writes a value into a file of the kernel; `old` is what stands there. */
void mend_poke(struct examination *examination, struct fix *fix, const char *path, const char *value, const char *old);

/* A module that is to be loaded, now and at every boot: the remedy as commands, and the fix. */
void mend_module(struct examination *examination, struct finding *finding, const char *module);

#endif
