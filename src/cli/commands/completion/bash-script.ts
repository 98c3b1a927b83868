/**
 * The script for bash. Unlike the generated one it runs nothing of what is typed (which may have a redirection to a
 * file, or a command in it), and needs neither the package bash-completion nor constants that another script may set.
 */
export const BASH_SCRIPT = `# bash completion for millrace

__millrace_complete() {
    local line=\${COMP_LINE:0:COMP_POINT} words=() word name cur out directive value prefix index
    read -ra words <<< "\${line//$'\\n'/ }"
    [[ $line == *[[:space:]] ]] && words+=("")
    # The program may be anywhere: FOO=bar ./bin/millrace
    for index in "\${!words[@]}"; do
        [[ \${words[index]##*/} == "\${1##*/}" ]] && break
    done
    words=("\${words[@]:index+1}")
    (( \${#words[@]} )) || return
    for index in "\${!words[@]}"; do
        word=\${words[index]//[\\"\\'\\\\]/}
        # A variable as a whole word, such as an address.
        if [[ $word =~ ^\\$\\{?([A-Za-z_][A-Za-z_0-9]*)\\}?$ ]]; then
            name=\${BASH_REMATCH[1]}
            word=\${!name}
        fi
        words[index]=$word
    done
    cur=\${words[\${#words[@]}-1]}
    out=$("\${1/#\\~\\//$HOME/}" complete -- "\${words[@]}" 2>/dev/null </dev/null)
    directive=\${out##*:}
    out=\${out%:*}
    # No file names, unless a file is expected.
    (( directive & 4 )) && compopt +o default 2>/dev/null
    # Readline replaces the part after the last of these characters.
    prefix=
    [[ $cur == *[:=]* ]] && prefix=\${cur%"\${cur##*[:=]}"}
    # The choices for a value after '=' come without the option.
    [[ $cur == -*=* ]] && prefix=\${prefix#"\${cur%%=*}="} cur=\${cur#*=}
    COMPREPLY=()
    while IFS=$'\\t' read -r value _; do
        [[ -n $value && $value == "$cur"* ]] || continue
        COMPREPLY+=("\${value#"$prefix"}")
    done <<< "$out"
}

complete -o default -F __millrace_complete millrace
`;
