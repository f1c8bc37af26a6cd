#!/usr/bin/env bash
# Comments the decisions on the pull request; the comment of an earlier push is replaced.
set -uo pipefail
[[ -s $FOLDER/comment.md ]] || exit 0
# GitHub takes 65,536 characters.
head -c 60000 "$FOLDER/comment.md" | gh pr comment "$NUMBER" --body-file - --edit-last --create-if-none ||
  echo "::warning::the decision could not be commented: 'permissions: pull-requests: write' lets it, but for a fork"
