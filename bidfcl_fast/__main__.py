"""`python -m bidfcl_fast`."""

from .cli import main

raise SystemExit(main())
