_kf_complete() {
    # Candidates are separated by vertical tabs.
    local IFS=$'\013'
    local space=true
    if compopt +o nospace 2> /dev/null; then
        space=false
    fi
    COMPREPLY=( $( \
        _CLAP_IFS="$IFS" \
        _CLAP_COMPLETE_INDEX="${COMP_CWORD}" \
        _KF_COMPLETE_LINE="${COMP_LINE}" \
        _KF_COMPLETE_BEFORE="${COMP_LINE:0:COMP_POINT}" \
        _KF_COMPLETE_PART="$2" \
        VARIABLE="bash" \
        COMPLETER -- "${COMP_WORDS[@]}" \
    ) )
    if [[ $? != 0 ]]; then
        unset COMPREPLY
    elif [[ $space == false ]] && [[ "${COMPREPLY-}" =~ [=/:]$ ]]; then
        compopt -o nospace
    fi
}
if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -o nospace -o bashdefault -o nosort -F _kf_complete NAME
else
    complete -o nospace -o bashdefault -F _kf_complete NAME
fi
