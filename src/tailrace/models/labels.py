"""What the class numbers of the models' answers mean."""

from collections.abc import Mapping
from types import MappingProxyType

_COCO = """
person bicycle car motorcycle airplane bus train truck boat traffic_light fire_hydrant -
stop_sign parking_meter bench bird cat dog horse sheep cow elephant bear zebra giraffe -
backpack umbrella - - handbag tie suitcase frisbee skis snowboard sports_ball kite baseball_bat
baseball_glove skateboard surfboard tennis_racket bottle - wine_glass cup fork knife spoon bowl
banana apple sandwich orange broccoli carrot hot_dog pizza donut cake chair couch potted_plant
bed - dining_table - - toilet - tv laptop mouse remote keyboard cell_phone microwave oven
toaster sink refrigerator - book clock vase scissors teddy_bear hair_drier toothbrush
"""

COCO: Mapping[int, str] = MappingProxyType(
    {
        number: name.replace("_", " ")
        for number, name in enumerate(_COCO.split(), start=1)
        if name != "-"
    }
)
"""COCO's 80 category names by category id, 1 to 90; ten ids are unused."""

SHAPES: Mapping[int, str] = MappingProxyType(
    dict(
        enumerate(
            (
                "disc",
                "rectangle",
                "triangle",
                "star",
                "hexagon",
                "cross",
                "ring",
                "heart",
                "crescent",
                "arrow",
            ),
            start=1,
        )
    )
)
"""The drawn categories by id, 1 to 10, as the embedded model was trained on them."""
