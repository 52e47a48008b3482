# SPDX-License-Identifier: Apache-2.0
"""Grids as clients know them: GetMap URLs of tiles, and of whole metatiles.

Written from OGC 17-083r4 and the WMS standards, not from the module, so that
the two check each other. Standard library only.
"""
import dataclasses
import urllib.parse

WORLD = 20037508.342789244  # pi * 6378137


@dataclasses.dataclass(frozen=True)
class Grid:
    name: str
    crs: str        # as WMS 1.1.1 calls it
    yx: bool        # WMS 1.3.0 gives y first
    left: float
    top: float
    span: float     # width and height of a cell at level 0
    columns: int    # at level 0
    rows: int = 1

    def bbox(self, z, x, y):
        """minx, miny, maxx, maxy of cell x, y, counted from the top left."""
        side = self.span / 2 ** z
        return (self.left + x * side, self.top - (y + 1) * side,
                self.left + (x + 1) * side, self.top - y * side)

    def matrix(self, z):
        return self.columns * 2 ** z, self.rows * 2 ** z


MERCATOR = Grid("WebMercatorQuad", "EPSG:3857", False,
                -WORLD, WORLD, 2 * WORLD, 1)
CRS84 = Grid("WorldCRS84Quad", "EPSG:4326", True, -180.0, 90.0, 180.0, 2)


def getmap(grid, bbox, width, height, *, version="1.1.1", path="/wms",
           layers="rgb", styles="", format="image/png", crs=None, **more):
    """A GetMap path and query; `more` adds parameters, None drops one."""
    crs = crs or grid.crs
    if version == "1.3.0" and grid.yx and crs != "CRS:84":
        bbox = (bbox[1], bbox[0], bbox[3], bbox[2])
    params = {
        "SERVICE": "WMS", "VERSION": version, "REQUEST": "GetMap",
        "LAYERS": layers, "STYLES": styles,
        "CRS" if version == "1.3.0" else "SRS": crs,
        "BBOX": ",".join(repr(float(edge)) for edge in bbox),
        "WIDTH": str(width), "HEIGHT": str(height), "FORMAT": format,
    }
    params.update(more)
    return path + "?" + urllib.parse.urlencode(
        {k: v for k, v in params.items() if v is not None}, safe=",/:")


def tile(z, x, y, grid=MERCATOR, size=256, **params):
    """The path and query for one cell in size x size pixels."""
    return getmap(grid, grid.bbox(z, x, y), size, size, **params)


@dataclasses.dataclass(frozen=True)
class Metatile:
    """The metatile that holds cell x, y: its picture and its tiles."""
    z: int
    x: int
    y: int
    grid: Grid = MERCATOR
    size: int = 256
    columns: int = 4
    rows: int = 4
    buffer: int = 16

    def _range(self, at, block, count):
        first = at // block * block
        return first, min(first + block, count)

    @property
    def _block(self):
        columns, rows = self.grid.matrix(self.z)
        return (self._range(self.x, self.columns, columns),
                self._range(self.y, self.rows, rows))

    @property
    def cells(self):
        (x0, x1), (y0, y1) = self._block
        return [(x, y) for y in range(y0, y1) for x in range(x0, x1)]

    @property
    def margins(self):
        """Buffer left, top, right, bottom: none beyond the grid's extent."""
        (x0, x1), (y0, y1) = self._block
        columns, rows = self.grid.matrix(self.z)
        return (self.buffer * (x0 > 0), self.buffer * (y0 > 0),
                self.buffer * (x1 < columns), self.buffer * (y1 < rows))

    @property
    def pixels(self):
        (x0, x1), (y0, y1) = self._block
        left, top, right, bottom = self.margins
        return ((x1 - x0) * self.size + left + right,
                (y1 - y0) * self.size + top + bottom)

    @property
    def bbox(self):
        (x0, x1), (y0, y1) = self._block
        left, top, right, bottom = self.margins
        unit = self.grid.span / 2 ** self.z / self.size
        minx, _, _, maxy = self.grid.bbox(self.z, x0, y0)
        _, miny, maxx, _ = self.grid.bbox(self.z, x1 - 1, y1 - 1)
        return (minx - left * unit, miny - bottom * unit,
                maxx + right * unit, maxy + top * unit)

    def window(self, x, y):
        """Where a cell is in the picture: left, top, right, bottom."""
        (x0, _), (y0, _) = self._block
        left = self.margins[0] + (x - x0) * self.size
        top = self.margins[1] + (y - y0) * self.size
        return left, top, left + self.size, top + self.size

    def tiles(self, **params):
        """The paths of all its tiles, in the order of `cells`."""
        return [tile(self.z, x, y, self.grid, self.size, **params)
                for x, y in self.cells]

    def whole(self, **params):
        """The path of the picture it is cut from."""
        return getmap(self.grid, self.bbox, *self.pixels, **params)
