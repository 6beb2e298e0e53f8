"""Which inputs and which weights of the votes a campaign tries, and when; off unless it says so."""

from dataclasses import dataclass

from fieldvote.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class InputVariant:
    """One way from embeddings to inputs that is tried; all else is as the campaign's inputs say.

    Attributes:
        recentre: Share of a device's own mean that is taken out, 0 to 1.
        smooth: How far an item is moved to its nearest neighbours on its device, 0 to 1.
        fourier: Number of random Fourier features.
    """

    recentre: float = 0.0
    smooth: float = 0.0
    fourier: int = 0

    def __post_init__(self) -> None:
        """Refuse what no representation can be."""
        if not (0.0 <= self.recentre <= 1.0 and 0.0 <= self.smooth <= 1.0 and self.fourier >= 0):
            raise SettingsError(
                "recipes.variants: expected recentre and smooth of 0 to 1, fourier of 0 or more"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeSettings:
    """When a campaign asks what would do best on devices that did not teach.

    Attributes:
        rounds: After the answers of these rounds; empty: never.
        variants: What is tried beside the inputs in use.
        folds: Into so many groups the devices are cut; each is left out once.
        rank: So many random projections of the inputs stand for them.
        better_by: Inputs are changed if the others err less by this share; votes weigh something
            if heads that learned from them err less by it.
        vote_weights: What all voted items together may weigh, tried beside 0; empty: their weight
            is not chosen.
        doubt: Votes must also bring more than so many standard errors of what they bring.
    """

    rounds: tuple[int, ...] = ()
    variants: tuple[InputVariant, ...] = ()
    folds: int = 4
    rank: int = 64
    better_by: float = 0.02
    vote_weights: tuple[float, ...] = ()
    doubt: float = 1.5

    def __post_init__(self) -> None:
        """Refuse a choice that says nothing."""
        if any(number < 1 for number in self.rounds) or not 2 <= self.folds <= 64:
            raise SettingsError("recipes: expected rounds of 1 or more, and 2 to 64 folds")
        if len(self.vote_weights) > 8 or not all(0 < each <= 1e6 for each in self.vote_weights):
            raise SettingsError("recipes.vote_weights: expected at most 8 weights above 0")
        if not 0.0 <= self.doubt <= 10.0:
            raise SettingsError(f"recipes.doubt: expected 0 to 10, got {self.doubt}")
        if not 1 <= self.rank <= 256 or not 0.0 <= self.better_by < 1.0 or len(self.variants) > 16:
            raise SettingsError(
                "recipes: expected a rank of 1 to 256, better_by of 0 to 1, at most 16 variants"
            )
