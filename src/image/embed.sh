#!/bin/sh -eu
# embed.sh FILE...: C source with the files' contents, for the table in files.h. Run by the build.
printf '#include "image/files.h"\n\n'
index=0
for file in "$@"; do
	printf 'static const unsigned char file_%d[] = {' "$index"
	od -An -v -tu1 "$file" | sed 's/\([0-9][0-9]*\)/\1,/g'
	printf '};\n'
	index=$((index + 1))
done
printf 'const struct embedded_file embedded_files[] = {\n'
index=0
for file in "$@"; do
	printf '\t{"%s", file_%d, sizeof(file_%d)},\n' "${file##*/}" "$index" "$index"
	index=$((index + 1))
done
printf '\t{0},\n};\n'
