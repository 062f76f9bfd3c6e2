"""Who watches: tokens, the histories of what each session was shown, and which server answers for
it. One session has one author, wherever its requests arrive."""
