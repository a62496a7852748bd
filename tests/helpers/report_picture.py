"""docs/report.png: one example in the browser of the demo's report, in Chromium.

python -m tests.helpers.report_picture demo/report.html docs/report.png
"""

import io
import sys
from pathlib import Path

from PIL import Image

from tests.helpers.chromium import chromium, open_report

_CHOSEN = "#example=40&condition=object@0.5"
_WIDTH, _HEIGHT = 1400, 1000
_COLOURS = 200  # enough, and half of the bytes


def main(report: Path, picture: Path) -> None:
    """Takes the picture."""
    with chromium(_WIDTH, _HEIGHT) as driver:
        open_report(driver, report.absolute())
        driver.execute_script(f"location.replace('{_CHOSEN}'); location.reload()")
        driver.implicitly_wait(60)
        driver.find_element("css selector", '#detail[data-example="40"]')
        driver.execute_script("document.querySelector('#count').scrollIntoView()")
        content = driver.get_screenshot_as_png()
    image = Image.open(io.BytesIO(content)).convert("RGB")
    image.quantize(_COLOURS).save(picture, optimize=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
