"""Reference pages, written from the code each time the site is built; prose lies beside this folder."""
