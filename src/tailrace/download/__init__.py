"""Files from elsewhere: fetched over HTTP, taken out of archives, put in place whole.

Nothing here knows what the files are for; of Tailrace it may import only errors and units.
"""

from tailrace.download.archive import extract
from tailrace.download.cache import cache_dir
from tailrace.download.http import Progress, download, ignore

__all__ = ["Progress", "cache_dir", "download", "extract", "ignore"]
