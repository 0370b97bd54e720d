"""2021-10-04: one hour with hypotension, three hours without; a dose has a unit and an interval.

One hour for everybody hurried antibiotics into patients who turned out to have no sepsis. Where shock is possible it stays at one hour;
without, there are three in which to find out. And a prescription says how much of which unit, and how often, where it was milligrams.

Source: Evans et al., Surviving Sepsis Campaign: International Guidelines for Management of Sepsis and Septic Shock 2021, Critical Care
Medicine 49(11), online in October 2021: the recommendations on the timing of antimicrobials.
"""
