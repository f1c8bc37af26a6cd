#!/usr/bin/env bash
# Compares each .onnx file that differs from BASE with what it was, and checks each that is new.
# Exits with 1 where a gate fails, or a new file is not right on a target.
set -uo pipefail
folder=${RUNNER_TEMP:-$(mktemp -d)}/onnx-verdict
before=$folder/before
rm -rf "$folder"
mkdir -p "$folder/reports"
echo "folder=$folder" >>"${GITHUB_OUTPUT:-/dev/null}"

# The whole tree as it was: external data lies beside its file, and git-lfs is asked once.
git worktree prune
git worktree add --quiet --force --detach "$before" "$BASE" || {
  echo "::error::git knows no $BASE here: give actions/checkout 'fetch-depth: 0'"
  exit 2
}
trap 'git worktree remove --force "$before"' EXIT

# A file counts as changed where its external data alone did, too: NAME.data beside NAME.
changed() {
  git diff -z --no-renames --name-only --diff-filter="$1" "$BASE" -- '*.onnx' '*.onnx.data' '*.onnx_data' |
    sed -z -E 's/\.onnx[._]data$/.onnx/' | sort -z -u
}

failed=0 count=0
comment=$folder/comment.md
while IFS= read -r -d '' file; do
  file=./$file # A name that begins with - is no option.
  [[ -f $file && -f $before/$file ]] || continue
  count=$((count + 1))
  toolkit compare "$before/$file" "$file" $TARGETS --time "$TIME" $GATES \
    -o "$folder/reports" --junit "$folder/$count.xml" --markdown "$folder/$count.md" || failed=1
  if [[ -f $folder/$count.md ]]; then
    cat "$folder/$count.md" >>"$comment"
  else
    printf '### %s\n\nIt could not be compared: the log says why.\n' "${file//[^A-Za-z0-9._\/-]/_}" >>"$comment"
  fi
done < <(changed ACM)

while IFS= read -r -d '' file; do
  file=./$file # A name that begins with - is no option.
  [[ -f $file && ! -f $before/$file ]] || continue
  count=$((count + 1))
  toolkit check "$file" $TARGETS $CHECK >"$folder/$count.txt" || failed=1
  cat "$folder/$count.txt"
  # Indented, so that nothing in a name can end the block.
  { printf '### A new file\n\n'; sed 's/^/    /' "$folder/$count.txt"; echo; } >>"$comment"
done < <(changed A)

if [[ $count -eq 0 ]]; then
  echo "no .onnx file differs from $BASE"
else
  cat "$comment" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"
fi
exit $failed
