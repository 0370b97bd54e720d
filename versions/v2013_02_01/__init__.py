"""2013-02-01: the sepsis pathway, and first antibiotics within three hours.

The emergency room records an encounter from whatever comes first to the patient's return. Antibiotics that come more than three hours
after sepsis triage are reviewed, and a lactate of 4.0 mmol/L or more, a sign that organs fail, pages the doctor.

Source: Surviving Sepsis Campaign, International Guidelines for Management of Severe Sepsis and Septic Shock: 2012, Critical Care
Medicine 41(2), February 2013: the three-hour bundle.
"""
