"""Generated messages in German, French and Spanish, with what is personal in them marked."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """What the messages of a language are made of.

    Attributes:
        dictionary: File of Debian's word list, and the package that brings it.
        templates: Messages; braces stand for what is personal.
        first, last, city, street, company: What stands in for the braces.
    """

    dictionary: tuple[str, str]
    templates: tuple[str, ...]
    first: tuple[str, ...]
    last: tuple[str, ...]
    city: tuple[str, ...]
    street: tuple[str, ...]
    company: tuple[str, ...]

    def message(self, rng: np.random.Generator) -> tuple[str, list[tuple[int, int, str]]]:
        """Return a text and its spans: start, end, kind."""
        template = self.templates[rng.integers(len(self.templates))]
        text, spans = "", []
        for part in template.replace("{", "\0").replace("}", "\0").split("\0"):
            value = part
            if part.isupper() and part.isalpha():
                value = self._value(part, rng)
                spans.append((len(text), len(text) + len(value), part))
            text += value
        return text, spans

    def _value(self, kind: str, rng: np.random.Generator) -> str:
        """Return something personal of a kind."""

        def pick(choices: tuple[str, ...]) -> str:
            return choices[rng.integers(len(choices))]

        def digits(count: int) -> str:
            return "".join(map(str, rng.integers(0, 10, size=count)))

        match kind:
            case "PERSON":
                return f"{pick(self.first)} {pick(self.last)}"
            case "SURNAME":
                return pick(self.last)
            case "CITY":
                return pick(self.city)
            case "ADDRESS":
                return pick(self.street).replace("9", str(rng.integers(1, 99)))
            case "PHONE":
                return f"0{digits(3)} {digits(3)} {digits(3)}"
            case "EMAIL":
                return f"{pick(self.first)}.{digits(2)}@example.{pick(('de', 'fr', 'es'))}".lower()
            case "ORG":
                return pick(self.company)
            case _:
                return f"{rng.integers(1, 28)}.{rng.integers(1, 12)}.19{digits(2)}"


LANGUAGES: Mapping[str, Language] = MappingProxyType(
    {
        "de": Language(
            dictionary=("ngerman", "wngerman"),
            templates=(
                "Sehr geehrte Frau {SURNAME}, Ihre Rechnung liegt diesem Brief bei. Bitte zahlen "
                "Sie den Betrag bis zum Ende der Woche.",
                "Hallo {PERSON}, der Termin beim Arzt ist leider verschoben. Kannst du mich heute "
                "unter {PHONE} erreichen?",
                "Die Lieferung geht an {ADDRESS} in {CITY}. Der Fahrer klingelt, wenn er da ist.",
                "Meine Adresse ist neu: {EMAIL}. Die alte gilt nicht mehr.",
                "Ich bin am {DATE} geboren und wohne seit einem Jahr in {CITY}.",
                "Der Vertrag mit der {ORG} wurde gestern gekündigt. Gibt es schon eine Antwort?",
                "Der Strom ist ausgefallen und die Heizung läuft nicht. Wann kommt der Techniker?",
                "Gestern hat {PERSON} wieder angerufen. Sie wollte wissen, ob das Paket angekommen "
                "ist.",
            ),
            first=("Anneliese", "Ulrike", "Thorsten", "Matthias", "Jörg", "Sven", "Birgit", "Hans"),
            last=("Wiedemann", "Brandstätter", "Müller", "Becker", "Oberhuber", "Koch", "Özdemir"),
            city=("Gelsenkirchen", "Quedlinburg", "Berlin", "Köln", "Buxtehude", "Tübingen"),
            street=("Lindenallee 9", "Am Alten Markt 9", "Schillerstraße 9", "Rosenweg 9"),
            company=("Wiedemann GmbH", "Nordlicht Versicherung", "Kessler KG"),
        ),
        "fr": Language(
            dictionary=("french", "wfrench"),
            templates=(
                "Bonjour Madame {SURNAME}, votre facture est jointe à cette lettre. Merci de payer "
                "avant la fin de la semaine.",
                "Salut {PERSON}, le rendez-vous chez le médecin est annulé. Peux-tu m'appeler au "
                "{PHONE} ce soir ?",
                "Le colis part pour le {ADDRESS} à {CITY}. Le livreur sonnera à la porte.",
                "Mon adresse a changé : {EMAIL}. L'ancienne n'est plus valable.",
                "Je suis né le {DATE} et j'habite à {CITY} depuis un an.",
                "Le contrat avec {ORG} a été résilié hier. Avez-vous déjà une réponse ?",
                "L'électricité est coupée et le chauffage ne marche pas. Le technicien arrive ?",
                "Hier soir {PERSON} a encore téléphoné. Elle voulait savoir si tout va bien.",
            ),
            first=("Anaïs", "Guillaume", "Sylvie", "Benoît", "Thibault", "Océane", "Mathilde"),
            last=("Delacroix", "Petit", "Lefebvre", "Marchand", "Quéméneur", "Benali", "Dubois"),
            city=("Quimper", "Aurillac", "Lyon", "Saint-Étienne", "Montauban", "Nantes"),
            street=("9 rue Victor Hugo", "9 avenue de la Gare", "9 boulevard Voltaire"),
            company=("Durand SARL", "Assurances Morvan", "Groupe Kervella"),
        ),
        "es": Language(
            dictionary=("spanish", "wspanish"),
            templates=(
                "Estimada señora {SURNAME}, su factura está con esta carta. Debe pagar el importe "
                "antes del fin de semana.",
                "Hola {PERSON}, la cita con el médico se ha cancelado. ¿Puedes llamar hoy al "
                "{PHONE}?",
                "El paquete va a {ADDRESS} en {CITY}. El conductor llama a la puerta.",
                "Mi correo nuevo es {EMAIL}. El antiguo ya no vale.",
                "Nací el {DATE} y vivo en {CITY} desde hace un año.",
                "El contrato con {ORG} se ha terminado ayer. ¿Hay ya una respuesta?",
                "No hay luz y la calefacción está rota. ¿Cuándo viene el técnico?",
                "Ayer {PERSON} volvió a llamar. Quería saber si el paquete había llegado.",
            ),
            first=("Lucía", "Iñaki", "Begoña", "Joaquín", "Montserrat", "Álvaro", "Ramón"),
            last=("Echeverría", "Blanco", "Guerrero", "Zubizarreta", "Muñoz", "Reyes", "Otero"),
            city=("Teruel", "Pontevedra", "Madrid", "Badajoz", "León", "Ciudad Real"),
            street=("Calle Mayor 9", "Avenida de la Constitución 9", "Plaza de España 9"),
            company=("Seguros Ibarra", "Grupo Larrañaga SL", "Talleres Otero SA"),
        ),
    }
)
