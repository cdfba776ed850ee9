/* The shells' side of completion: small scripts that ask `nestvisor __complete` (complete.c) and know no command
 * themselves. */
#include "cli/command.h"

#include <string.h>

static const char bash_script[] =
	"# bash completion for nestvisor. Now:    source <(nestvisor completion bash)\n"
	"# For good: nestvisor completion bash > /usr/share/bash-completion/completions/nestvisor\n"
	"_nestvisor() {\n"
	"\tlocal -a words=() lines=()\n"
	"\tlocal i word line cur glue='' prefix='' option='' breaks=''\n"
	"\t# COMP_WORDS is split at = and :, which are parts of our words.\n"
	"\tfor ((i = 1; i <= COMP_CWORD; i++)); do\n"
	"\t\tword=${COMP_WORDS[i]}\n"
	"\t\tif [[ ${#words[@]} -gt 0 && ( -n $glue || $word == [=:]* ) ]]; then\n"
	"\t\t\twords[${#words[@]}-1]+=$word\n"
	"\t\telse\n"
	"\t\t\twords+=(\"$word\")\n"
	"\t\tfi\n"
	"\t\t[[ $word == *[=:] ]] && glue=1 || glue=''\n"
	"\tdone\n"
	"\tcur=${words[${#words[@]}-1]}\n"
	"\tmapfile -t lines < <(\"${COMP_WORDS[0]/#\\~/$HOME}\" __complete -- \"${words[@]}\" 2>/dev/null)\n"
	"\t# Readline replaces only what follows the last such character.\n"
	"\t[[ $COMP_WORDBREAKS == *=* ]] && breaks+='='\n"
	"\t[[ $COMP_WORDBREAKS == *:* ]] && breaks+=':'\n"
	"\t[[ -n $breaks ]] && prefix=${cur%\"${cur##*[$breaks]}\"}\n"
	"\t[[ $cur == --*=* ]] && option=${cur%%=*}=\n"
	"\tCOMPREPLY=()\n"
	"\tfor line in \"${lines[@]:1}\"; do\n"
	"\t\tword=${line%%$'\\t'*}\n"
	"\t\tCOMPREPLY+=(\"${word#\"$prefix\"}\")\n"
	"\tdone\n"
	"\tlocal -a names=()\n"
	"\tcase ${lines[0]} in\n"
	"\tfiles) mapfile -t names < <(compgen -f -- \"${cur#\"$option\"}\") ;;\n"
	"\tguestfile) [[ $cur == *:* ]] || mapfile -t names < <(compgen -f -- \"$cur\") ;;\n"
	"\tfolders) mapfile -t names < <(compgen -d -- \"${cur#\"$option\"}\") ;;\n"
	"\tnest) mapfile -t names < <(compgen -f -X '!*.nest.yaml' -- \"${cur#\"$option\"}\"; compgen -d -- "
	"\"${cur#\"$option\"}\") ;;\n"
	"\tesac\n"
	"\tif [[ ${#names[@]} -gt 0 ]]; then\n"
	"\t\tcompopt -o filenames 2>/dev/null\n"
	"\t\tfor word in \"${names[@]}\"; do\n"
	"\t\t\tword=$option$word\n"
	"\t\t\tCOMPREPLY+=(\"${word#\"$prefix\"}\")\n"
	"\t\tdone\n"
	"\tfi\n"
	"\t[[ ${lines[0]} == guestfile ]] && compopt -o nospace 2>/dev/null\n"
	"\treturn 0\n"
	"}\n"
	"complete -F _nestvisor nestvisor\n";

static const char zsh_script[] = "#compdef nestvisor\n"
				 "# zsh completion for nestvisor. Now:    source <(nestvisor completion zsh)\n"
				 "# For good: nestvisor completion zsh > \"${fpath[1]}/_nestvisor\"\n"
				 "_nestvisor() {\n"
				 "\tlocal -a lines candidates end\n"
				 "\tlocal line word\n"
				 "\tlines=(\"${(@f)$(\"${(Q)words[1]/#\\~/$HOME}\" __complete -- "
				 "\"${(@Q)words[2,CURRENT-1]}\" \"${(Q)PREFIX}\" 2>/dev/null)}\")\n"
				 "\tfor line in \"${(@)lines[2,-1]}\"; do\n"
				 "\t\tword=${line%%$'\\t'*}\n"
				 "\t\tcandidates+=(\"${word//:/\\\\:}:${line#*$'\\t'}\")\n"
				 "\tdone\n"
				 "\t[[ $lines[1] == guestfile ]] && end=(-S '')\n"
				 "\t(( $#candidates )) && _describe -t nestvisor nestvisor candidates $end\n"
				 "\t[[ $PREFIX == --*=* && $lines[1] != none ]] && compset -P '*='\n"
				 "\tcase $lines[1] in\n"
				 "\tfiles|guestfile) _files ;;\n"
				 "\tfolders) _files -/ ;;\n"
				 "\tnest) _files -g '*.nest.yaml' ;;\n"
				 "\tesac\n"
				 "}\n"
				 "if [[ $funcstack[1] == _nestvisor ]]; then\n"
				 "\t_nestvisor \"$@\"\n"
				 "else\n"
				 "\tcompdef _nestvisor nestvisor\n"
				 "fi\n";

static const char fish_script[] = "# fish completion for nestvisor. Now:    nestvisor completion fish | source\n"
				  "# For good: nestvisor completion fish > ~/.config/fish/completions/nestvisor.fish\n"
				  "function __nestvisor_complete\n"
				  "\tset -l words (commandline -opc)\n"
				  "\tset -l current (commandline -ct)\n"
				  "\tset -l program $words[1]\n"
				  "\tset -e words[1]\n"
				  "\tset -l lines ($program __complete -- $words \"$current\" 2>/dev/null)\n"
				  "\tfor line in $lines[2..]\n"
				  "\t\techo $line\n"
				  "\tend\n"
				  "\tset -l option (string match -r -- '^--[^=]*=' \"$current\")\n"
				  "\tset -l value (string replace -r -- '^--[^=]*=' '' \"$current\")\n"
				  "\tset -l names\n"
				  "\tswitch \"$lines[1]\"\n"
				  "\t\tcase files guestfile\n"
				  "\t\t\tset names (__fish_complete_path \"$value\")\n"
				  "\t\tcase folders\n"
				  "\t\t\tset names (__fish_complete_directories \"$value\")\n"
				  "\t\tcase nest\n"
				  "\t\t\tset names (__fish_complete_path \"$value\" | string match -r -- "
				  "'.*(?:/|\\\\.nest\\\\.yaml)(?:\\t.*)?$')\n"
				  "\tend\n"
				  "\tfor name in $names\n"
				  "\t\techo \"$option$name\"\n"
				  "\tend\n"
				  "end\n"
				  "complete -c nestvisor -f -a '(__nestvisor_complete)'\n";

static int run(struct invocation *inv)
{
	const char *shell = invocation_operand(inv, 0);

	invocation_print_text(inv, strcmp(shell, "bash") == 0  ? bash_script
				   : strcmp(shell, "zsh") == 0 ? zsh_script
							       : fish_script);
	return EXIT_DONE;
}

const struct command command_completion = {
	.name = "completion",
	.group = GROUP_OTHER,
	.summary = "prints the completion script for a shell",
	.description = "Prints a script that makes the shell complete nestvisor's commands, options, lab files, "
		       "running labs and the paths of guests. "
		       "What fits is asked of nestvisor itself each time, so the script never needs to be made anew.",
	.operands = (const struct command_operand[]){{.name = "SHELL",
						      .help = "bash, zsh or fish",
						      .choices = (const char *const[]){"bash", "zsh", "fish", NULL}},
						     {}},
	.examples =
		(const struct command_example[]){
			{"source <(nestvisor completion bash)", "in this bash, now"},
			{"nestvisor completion zsh > \"${fpath[1]}/_nestvisor\"", "in zsh, for good"},
			{"nestvisor completion fish > ~/.config/fish/completions/nestvisor.fish", "in fish, for good"},
			{}},
	.run = run,
};
